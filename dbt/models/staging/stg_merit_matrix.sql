{#- Merit of a rating at a place in the pay band; complete for every rating, or refused. -#}
with matrix as (
  select * from {{ ref('config_merit_matrix') }}
),

wanted as (
  select
    ratings.rating,
    unnest(['{{ range_positions() | join("', '") }}']) as range_position
  from {{ ref('config_ratings') }} as ratings
),

checked as (
  select
    wanted.rating,
    wanted.range_position,
    case
      when count(*) over (partition by wanted.rating, wanted.range_position) > 1
        then error(
          '{{ seed_file("config_merit_matrix") }} has several rows for ' || wanted.rating || ', '
          || wanted.range_position
        )
      when matrix.multiplier is null
        then error(
          '{{ seed_file("config_merit_matrix") }} has no multiplier for ' || wanted.rating || ', '
          || wanted.range_position
        )
      when matrix.multiplier < 0
        then error(
          '{{ seed_file("config_merit_matrix") }} has a multiplier below 0 for ' || wanted.rating || ', '
          || wanted.range_position
        )
      else cast(matrix.multiplier * 10000 as bigint)
    end as multiplier_units
  from wanted
  left join matrix on wanted.rating = matrix.rating and wanted.range_position = matrix.range_position
)

select * from checked
