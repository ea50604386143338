{%- macro hazard_kinds() -%}{{ return(["age", "tenure", "level"]) }}{%- endmacro -%}

{%- macro present_multipliers() -%}
  {#- SQL of the multipliers in force: hazard, kind, name (of the band, or the level), multiplier. -#}
  {%- for hazard in ["termination", "promotion"] %}
    select '{{ hazard }}' as hazard, 'age' as kind, age_band as name, any_value({{ hazard }}_multiplier)::double as present
    from {{ ref("stg_age_years") }} group by age_band
    union all
    select '{{ hazard }}', 'tenure', tenure_band, any_value({{ hazard }}_multiplier)::double
    from {{ ref("stg_tenure_years") }} group by tenure_band
    union all
    select '{{ hazard }}', 'level', job_level::varchar, {{ hazard }}_multiplier::double from {{ ref("stg_job_levels") }}
    {{ "union all" if not loop.last }}
  {%- endfor -%}
{%- endmacro -%}

{%- macro present_rates() -%}
  {#- SQL of the rates in force: of leaving from comp_levers, of promotion from config_hazards. -#}
    select
      'termination' as hazard,
      case parameter_name when 'new_hire_termination_rate' then 'new' else 'experienced' end as rate_group,
      parameter_value as present_rate
    from {{ ref("comp_levers") }}
    where parameter_name in ('total_termination_rate', 'new_hire_termination_rate')
      and scenario_id = 'default' and fiscal_year is null and job_level is null
    union all
    select 'promotion', 'all', base_rate::double from {{ ref("config_hazards") }} where hazard = 'promotion'
{%- endmacro -%}

{%- macro fit_cells(below_year) -%}
  {#- SQL: people at risk and events by hazard and band, over the steps that begin before `below_year`. -#}
    select
      'termination' as hazard, case when is_new then 'new' else 'experienced' end as rate_group,
      age_band as age, tenure_band as tenure, job_level::varchar as level,
      count(*)::double as exposed, count(*) filter (where has_left)::double as events
    from fit_steps where year < {{ below_year }} group by all
    union all
    select
      'promotion', 'all', age_band, tenure_band, job_level::varchar,
      count(*)::double, count(*) filter (where is_promoted)::double
    from fit_steps where year < {{ below_year }} and could_be_promoted group by all
{%- endmacro -%}

{%- macro estimate_hazards(years, smoothing, below_year=none) -%}
  {#- Makes fit_factors (hazard, kind, name, present, exposed, events, fitted) and fit_rates from fit_steps. -#}
  {%- set weight = smoothing | float(-1) -%}
  {%- if weight <= 0 -%}
    {{ exceptions.raise_compiler_error("smoothing must be a number of events above 0, such as 10; got '" ~ smoothing ~ "'.") }}
  {%- endif -%}
  {%- do run_query("create or replace temp table fit_factors as select *, present as fitted from (" ~ present_multipliers() ~ ")") -%}
  {%- do run_query(
    "create or replace temp table fit_cells as
    with multiplied as (
      select cells.*"
    ~ fit_kind_columns()
    ~ " from (" ~ fit_cells(below_year or years[-1]) ~ ") as cells"
    ~ fit_kind_joins() ~ "
    ),
    -- Leaving: the simulation solves k for the mean rate, so the present k is the rate over the mean multiplier.
    rated as (
      select multiplied.*,
        case when hazard = 'promotion' then rates.present_rate
          else rates.present_rate * sum(exposed) over (partition by hazard, rate_group)
            / sum(exposed * age_fitted * tenure_fitted * level_fitted) over (partition by hazard, rate_group)
        end as rate_present
      from multiplied
      inner join (" ~ present_rates() ~ ") as rates using (hazard, rate_group)
    )
    select *, rate_present as rate_fitted from rated"
  ) -%}
  {%- set state = namespace(moved=1.0, rounds=0) -%}
  {%- for _ in range(200) if state.moved > 0.000001 -%}
    {%- do run_query("create or replace temp table fit_before as select * from fit_cells") -%}
    {%- for kind in ["rate"] + hazard_kinds() -%}
      {%- do run_query(refit_kind(kind, weight)) -%}
    {%- endfor -%}
    {%- set moved = run_query(
      "select coalesce(max(abs(ln((fit_cells.rate_fitted * fit_cells.age_fitted * fit_cells.tenure_fitted * fit_cells.level_fitted)
        / nullif(fit_before.rate_fitted * fit_before.age_fitted * fit_before.tenure_fitted * fit_before.level_fitted, 0)))), 0)
      from fit_cells inner join fit_before using (hazard, rate_group, age, tenure, level)"
    ).rows[0][0] -%}
    {%- set state.moved = moved | float -%}
    {%- set state.rounds = loop.index -%}
  {%- endfor -%}
  {%- if state.moved > 0.000001 -%}
    {%- do exceptions.warn("The fit still moved by " ~ state.moved ~ " after " ~ state.rounds ~ " rounds.") -%}
  {%- endif -%}
  {%- do keep_fit() -%}
{%- endmacro -%}

{%- macro fit_kind_columns() -%}
  {%- for kind in hazard_kinds() -%}, {{ kind }}_factors.present as {{ kind }}_present, {{ kind }}_factors.present as {{ kind }}_fitted{%- endfor -%}
{%- endmacro -%}

{%- macro fit_kind_joins() -%}
  {%- for kind in hazard_kinds() %}
    inner join fit_factors as {{ kind }}_factors on {{ kind }}_factors.kind = '{{ kind }}'
      and cells.hazard = {{ kind }}_factors.hazard and cells.{{ kind }} = {{ kind }}_factors.name
  {%- endfor -%}
{%- endmacro -%}

{%- macro refit_kind(kind, weight) -%}
  {#- One turn: the multipliers of a kind, given all others. Multipliers keep the mean that they have
      at present, so that the rate alone says how often something happens. A present multiplier of 0
      would allow nothing ever; it counts as 0.02. -#}
  {%- set name = "rate_group" if kind == "rate" else kind -%}
  {%- set others = (["rate"] + hazard_kinds()) | reject("equalto", kind) | list -%}
  create or replace temp table fit_cells as
  with turned as (
    select
      hazard, {{ name }} as name, sum(exposed) as weight, any_value({{ kind }}_present) as present,
      (sum(events) + {{ weight }}) / (sum(exposed * {{ others | join("_fitted * ") }}_fitted)
        + {{ weight }} / greatest(any_value({{ kind }}_present), {{ 0 if kind == "rate" else 0.02 }})) as fitted
    from fit_cells group by hazard, {{ name }}
  ),
  levelled as (
    select
      hazard, name,
      fitted {% if kind != "rate" -%}
      * (sum(present * weight) over (partition by hazard) / sum(fitted * weight) over (partition by hazard))
      {%- endif %} as fitted
    from turned
  )
  select fit_cells.* replace (levelled.fitted as {{ kind }}_fitted)
  from fit_cells inner join levelled on fit_cells.hazard = levelled.hazard and fit_cells.{{ name }} = levelled.name
{%- endmacro -%}

{%- macro keep_fit() -%}
  {#- Bands that nobody was in keep their present multiplier. -#}
  {%- set seen -%}
    {%- for kind in hazard_kinds() %}
    select hazard, '{{ kind }}' as kind, {{ kind }} as name, sum(exposed) as exposed, sum(events) as events,
      any_value({{ kind }}_fitted) as fitted
    from fit_cells group by hazard, {{ kind }}
    {{ "union all" if not loop.last }}
    {%- endfor -%}
  {%- endset -%}
  {%- do run_query(
    "create or replace temp table fit_factors as
    select factors.* exclude (fitted), coalesce(seen.exposed, 0) as exposed, coalesce(seen.events, 0) as events,
      round(coalesce(seen.fitted, factors.present), 3) as fitted
    from fit_factors as factors left join (" ~ seen ~ ") as seen using (hazard, kind, name)"
  ) -%}
  {%- do run_query(
    "create or replace temp table fit_rates as
    select rates.*, coalesce(exposed, 0) as exposed, coalesce(events, 0) as events,
      round(coalesce(case when hazard = 'promotion' then base else mean_chance end, present_rate), 6) as fitted
    from (" ~ present_rates() ~ ") as rates
    left join (
      select hazard, rate_group, sum(exposed) as exposed, sum(events) as events, any_value(rate_fitted) as base,
        sum(exposed * rate_fitted * age_fitted * tenure_fitted * level_fitted) / sum(exposed) as mean_chance
      from fit_cells group by hazard, rate_group
    ) using (hazard, rate_group)"
  ) -%}
{%- endmacro -%}
