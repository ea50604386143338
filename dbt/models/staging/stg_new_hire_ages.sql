with lottery as (
  {{ lottery(ref('config_new_hire_ages'), ["age"], "weight") }}
)

select * from lottery
