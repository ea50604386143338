{#- Every lever that a model reads must be there: one without a row would count as "no effect". -#}
with levers as (
  select * from {{ ref('config_levers') }}
),

problems as (
  {{ named_row_problems(
    'config_levers', 'parameter_name', lever_names(), ['scope', 'lowest', 'below', 'is_required', 'unit', 'description']
  ) }}
),

checked as (
  select
    case
      when found.problem is not null then error(found.problem)
      when levers.parameter_name not in ('{{ lever_names() | join("', '") }}')
        then error('{{ seed_file("config_levers") }} names ' || levers.parameter_name || ', which no model reads')
      when levers.scope not in ('level', 'company')
        then error('{{ seed_file("config_levers") }}: scope must be level or company, not ' || levers.scope)
      else levers.parameter_name
    end as parameter_name,
    levers.scope,
    levers.lowest,
    levers.below,
    levers.is_required,
    levers.unit,
    levers.description
  from (select {{ all_problems('problems') }} as problem) as found
  left join levers on true
)

select * from checked
