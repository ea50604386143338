-- Within a person's year dates never go back and each event starts from the pay and level the
-- one before left.
select *
from (
  select
    event_id,
    event_date,
    pay_before,
    level_before,
    event_sequence,
    row_number() over person_year as expected_sequence,
    lag(event_date) over person_year as previous_date,
    lag(pay_after) over person_year as previous_pay,
    lag(level_after) over person_year as previous_level
  from {{ ref('fct_yearly_events') }}
  window person_year as (partition by scenario_id, simulation_year, employee_id order by event_sequence)
)
where
  event_sequence <> expected_sequence
  or event_date < previous_date
  or pay_before <> previous_pay
  or level_before <> previous_level
