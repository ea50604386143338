{#- Bands expanded to one row a full year: a person finds the band by an equality join. -#}
with bands as (
  -- An empty seed leaves one row without a name, which is refused.
  select configured.*
  from (select 1 as always) as one -- noqa: ST11
  left join {{ ref('config_tenure_bands') }} as configured on true
),

checked as (
  select
    *,
    case
      when
        tenure_band is null or min_tenure is null or termination_multiplier is null or promotion_multiplier is null
        then error(
          'config_tenure_bands (seeds/config_tenure_bands.csv) has no rows or an empty value in band '
          || coalesce(tenure_band, '(no name)')
        )
      when lead(min_tenure) over (order by min_tenure) is null and max_tenure is not null
        then error(
          'config_tenure_bands (seeds/config_tenure_bands.csv): max_tenure of the last band must be empty, or nobody '
          || 'of ' || max_tenure || ' years and more would be simulated; see band ' || tenure_band
        )
      when coalesce(lag(max_tenure) over (order by min_tenure), 0) <> min_tenure
        then error('config_tenure_bands must start at 0 and have no gaps or overlaps, see band ' || tenure_band)
      when lead(min_tenure) over (order by min_tenure) is not null and max_tenure is null
        then error('config_tenure_bands: only the last band may be open, see band ' || tenure_band)
      else min_tenure
    end as first_year,
    coalesce(max_tenure, 201) as year_after_last
  from bands
),

expanded as (
  select
    cast(unnest(range(first_year, year_after_last)) as integer) as tenure,
    tenure_band,
    termination_multiplier,
    promotion_multiplier
  from checked
)

select * from expanded
