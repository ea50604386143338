{#- Bands expanded to one row a full year: a person finds the band by an equality join. -#}
with bands as (
  -- An empty seed leaves one row without a name, which is refused.
  select configured.*
  from (select 1 as always) as one -- noqa: ST11
  left join {{ ref('config_age_bands') }} as configured on true
),

checked as (
  select
    *,
    case
      when
        age_band is null or min_age is null or termination_multiplier is null or promotion_multiplier is null
        then error(
          'config_age_bands (seeds/config_age_bands.csv) has no rows or an empty value in band '
          || coalesce(age_band, '(no name)')
        )
      when lead(min_age) over (order by min_age) is null and max_age is not null
        then error(
          'config_age_bands (seeds/config_age_bands.csv): max_age of the last band must be empty, or nobody '
          || 'of ' || max_age || ' years and more would be simulated; see band ' || age_band
        )
      when coalesce(lag(max_age) over (order by min_age), 0) <> min_age
        then error('config_age_bands must start at 0 and have no gaps or overlaps, see band ' || age_band)
      when lead(min_age) over (order by min_age) is not null and max_age is null
        then error('config_age_bands: only the last band may be open, see band ' || age_band)
      else min_age
    end as first_year,
    coalesce(max_age, 201) as year_after_last
  from bands
),

expanded as (
  select
    cast(unnest(range(first_year, year_after_last)) as integer) as age,
    age_band,
    termination_multiplier,
    promotion_multiplier
  from checked
)

select * from expanded
