-- Opening + hires - terminations (+ promotions in - promotions out) = closing, per year and level.
select *
from {{ ref('fct_compensation_growth') }}
where headcount_opening + hires - terminations + promotions_in - promotions_out <> headcount_closing
