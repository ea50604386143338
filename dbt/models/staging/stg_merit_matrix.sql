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

unread as (
  select
    '{{ seed_file("config_merit_matrix") }} has a row for ' || coalesce(matrix.rating, '(empty)') || ', '
    || coalesce(matrix.range_position, '(empty)') || '; ratings are those of config_ratings, range positions '
    || '{{ range_positions() | join(", ") }}' as problem
  from matrix
  anti join wanted on matrix.rating = wanted.rating and matrix.range_position = wanted.range_position
),

checked as (
  select
    wanted.rating,
    wanted.range_position,
    case
      when {{ all_problems('unread') }} is not null then error({{ all_problems('unread') }})
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
      when matrix.multiplier not between 0 and 10
        then error(
          '{{ seed_file("config_merit_matrix") }}: multiplier must be from 0 to 10, got ' || matrix.multiplier
          || ' for ' || wanted.rating || ', ' || wanted.range_position
        )
      else cast(matrix.multiplier * 10000 as bigint)
    end as multiplier_units
  from wanted
  left join matrix on wanted.rating = matrix.rating and wanted.range_position = matrix.range_position
)

select * from checked
