with opening_workforce as (
  select * from {{ ref('int_opening_workforce') }}
),

termination_events as (
  select * from {{ ref('int_termination_events') }}
),

headcount_plan as (
  select * from {{ ref('int_headcount_plan') }}
),

stayers as (
  select
    opening_workforce.employee_id,
    opening_workforce.key_high,
    opening_workforce.key_low,
    opening_workforce.job_level,
    headcount_plan.reductions,
    opening_workforce.known_termination_date is not null as has_known_day,
    {{ draw("reduction", "opening_workforce.key_high", "opening_workforce.key_low") }} as reduction_draw
  from opening_workforce
  inner join headcount_plan on headcount_plan.reductions > 0
  anti join termination_events on opening_workforce.employee_id = termination_events.employee_id
),

-- Who leaves on a known later day goes last.
reduced as (
  select * from stayers
  qualify row_number() over (order by has_known_day, reduction_draw, employee_id) <= reductions
),

departures as (
  select
    employee_id,
    job_level,
    termination_date,
    status,
    probability
  from termination_events
  union all
  select
    employee_id,
    job_level,
    {{ day_of_year(draw("departure_day")) }} as termination_date,
    'reduction' as status,
    cast(null as double) as probability
  from reduced
)

select * from departures
