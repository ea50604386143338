{#- New hires are spread over departments as the active census is, or as config_new_hire_departments
    says. Whole-number weights: people, or shares in ten-thousandths. -#}
with census as (
  select * from {{ ref('stg_census') }}
),

fixed_shares as (
  select * from {{ ref('config_new_hire_departments') }}
),

people as (
  select
    department,
    cast(count(*) as bigint) as weight
  from census
  where is_active_at_start and department is not null
  group by department
),

fixed as (
  select
    case
      when department is null or share is null
        then error('{{ seed_file("config_new_hire_departments") }} has a row with an empty value')
      when share < 0 or count(*) over (partition by department) > 1
        then error(
          '{{ seed_file("config_new_hire_departments") }} needs one row and a share of 0 or more for ' || department
        )
      when sum(share) over () <> 1
        then error('{{ seed_file("config_new_hire_departments") }}: shares must sum to 1, got ' || sum(share) over ())
      else department
    end as department,
    cast(share * 10000 as bigint) as weight
  from fixed_shares
),

weighted as (
  select * from fixed
  union all
  select * from people
  where not exists (select 1 from fixed_shares)
),

numbered as (
  select
    row_number() over (order by department) as department_number,
    department,
    weight,
    cast(sum(weight) over (order by department) - weight as bigint) as first_slot,
    cast(sum(weight) over () as bigint) as slots
  from weighted
  where weight > 0
)

select * from numbered
