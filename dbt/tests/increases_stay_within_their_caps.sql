-- Caps of promotions and raises of the simulated year, with half a cent of rounding.
select
  event_id,
  pay_before,
  pay_after
from {{ ref('fct_yearly_events') }}
where
  scenario_id = {{ scenario_id() }}
  and simulation_year = {{ simulation_year() }}
  and ((
    event_type = 'promotion'
    and pay_after > least(
      pay_before * (1 + {{ var("promotion_cap_rate") }}), pay_before + {{ var("promotion_cap_amount") }}
    ) + 0.006
  )
  or (
    event_type = 'raise'
    and pay_after > least(pay_before * (1 + {{ var("raise_cap_rate") }}), pay_before + {{ var("raise_cap_amount") }})
    + 0.006
  ))
