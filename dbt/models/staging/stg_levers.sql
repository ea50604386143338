with levers as (
  select * from {{ ref('config_levers') }}
)

select * from levers
