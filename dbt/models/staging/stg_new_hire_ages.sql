with lottery as (
  {{ lottery(ref('config_new_hire_ages'), ["age"], "weight") }}
),

counted as (
  select count(*) as slots from lottery
),

checked as (
  select
    case
      when counted.slots = 0
        then error('{{ seed_file("config_new_hire_ages") }} has no rows, counted ' || counted.slots)
      when lottery.age not between {{ var("census_age_at_hire_min") }} and {{ var("census_age_at_hire_max") }}
        then error(
          '{{ seed_file("config_new_hire_ages") }}: age must be from {{ var("census_age_at_hire_min") }} to '
          || '{{ var("census_age_at_hire_max") }} (census_age_at_hire_min, _max), got ' || lottery.age
        )
      else lottery.age
    end as age,
    lottery.slot
  from counted
  left join lottery on true
)

select * from checked
