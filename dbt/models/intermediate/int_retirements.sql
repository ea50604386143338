{#- Opening people who retire in the year, by the rate of their age; before any other hazard. -#}
-- depends_on: {{ ref('int_opening_workforce') }}, {{ ref('stg_retirement') }}
{% if has_retirement() -%}
with opening_workforce as (
  select * from {{ ref('int_opening_workforce') }}
  where known_termination_date is null
),

rates as (
  select * from {{ ref('stg_retirement') }}
),

retirements as (
  select
    opening_workforce.employee_id,
    opening_workforce.job_level,
    {{ day_of_year(draw("departure_day", "opening_workforce.key_high", "opening_workforce.key_low")) }}
      as termination_date,
    rates.rate as probability
  from opening_workforce
  inner join rates on opening_workforce.age = rates.age
  where {{ draw("retirement", "opening_workforce.key_high", "opening_workforce.key_low") }} < rates.rate
)

select * from retirements
{%- else -%}
select
  cast(null as varchar) as employee_id,
  cast(null as integer) as job_level,
  cast(null as date) as termination_date,
  cast(null as double) as probability
where false
{%- endif %}
