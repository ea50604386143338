-- 100,000 artificial persons: each stream fills 64 cells evenly, and each pair of streams,
-- years and seeds fills 16 x 16 cells evenly. The limits are six standard deviations of the
-- chi-square statistic, so only a broken generator crosses them.
{%- set draws = ["termination", "promotion", "raise_month", "next_year", "next_seed"] %}
with persons as (
  select
    {{ person_key_high("'P' || range") }} as key_high,
    {{ person_key_low("'P' || range") }} as key_low
  from range(100000)
),

drawn as (
  select
    {{ draw("termination", year=2026, seed=42) }} as termination,
    {{ draw("promotion", year=2026, seed=42) }} as promotion,
    {{ draw("raise_month", year=2026, seed=42) }} as raise_month,
    {{ draw("termination", year=2027, seed=42) }} as next_year,
    {{ draw("termination", year=2026, seed=43) }} as next_seed
  from persons
),

cells as (
  {%- for one in draws %}
  select
    '{{ one }}' as what,
    64 as cells,
    count(*) as people
  from drawn
  group by floor({{ one }} * 64)
  union all
  {%- for other in draws if other > one %}
  select
    '{{ one }} and {{ other }}' as what,
    256 as cells,
    count(*) as people
  from drawn
  group by floor({{ one }} * 16), floor({{ other }} * 16)
  union all
  {%- endfor %}
  {%- endfor %}
  -- One full cell closes the list of unions and can never fail.
  select
    'all' as what,
    1 as cells,
    100000 as people
)

select
  what,
  sum(power(people - 100000.0 / cells, 2)) / (100000.0 / any_value(cells)) as chi_square
from cells
group by what
having
  count(*) <> any_value(cells)
  or abs(chi_square - (any_value(cells) - 1)) > 6 * sqrt(2 * any_value(cells)) + 1
