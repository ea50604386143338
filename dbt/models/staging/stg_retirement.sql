{#- Chance of retirement in a year by age: bands expanded to one row a full year. -#}
with bands as (
  -- An empty seed leaves one row without a rate, which is refused.
  select configured.*
  from (select 1 as always) as one -- noqa: ST11
  left join {{ ref('config_retirement') }} as configured on true
),

checked as (
  select
    *,
    case
      when min_age is null or rate is null
        then error('{{ seed_file("config_retirement") }} has no rows, or one with an empty value')
      when rate < 0 or rate > 1
        then error(
          '{{ seed_file("config_retirement") }}: rate must be from 0 to 1, got ' || rate || ' from age ' || min_age
        )
      when coalesce(lag(max_age) over (order by min_age), 0) <> min_age
        then error(
          '{{ seed_file("config_retirement") }} must start at 0 and have no gaps or overlaps, see age ' || min_age
        )
      when (lead(min_age) over (order by min_age) is null) <> (max_age is null)
        then error('{{ seed_file("config_retirement") }}: the last band and no other is open, see age ' || min_age)
      else min_age
    end as first_year,
    coalesce(max_age, 201) as year_after_last
  from bands
),

expanded as (
  select
    cast(unnest(range(first_year, year_after_last)) as integer) as age,
    cast(rate as double) as rate
  from checked
)

select * from expanded
