{%- macro tell_fit(years) -%}
  {%- set steps = run_query("select count(*) from fit_steps").rows[0][0] -%}
  {{ log("Hazards of " ~ years[0] ~ " to " ~ years[-1] ~ ": " ~ "{:,}".format(steps | int) ~ " person-years", info=true) }}
  {%- set named = run_query("select count(*) from fit_steps where has_levels").rows[0][0] | int -%}
  {%- if named == 0 -%}
    {%- do exceptions.warn("No census has a job_level, so promotions cannot be seen; their hazards stay as they are.") -%}
  {%- endif -%}
  {{ log("  " ~ "{:<34}{:>10}{:>9}{:>9}{:>9}".format("rate, multiplier", "at risk", "events", "present", "fitted"), info=true) }}
  {%- for row in run_query(
    "select hazard || ', ' || rate_group as item, exposed, events, present_rate, fitted from fit_rates
    union all
    select hazard || ', ' || kind || ' ' || name, exposed, events, present, fitted from fit_factors
    order by item"
  ).rows -%}
    {{ log("  " ~ "{:<34}{:>10,}{:>9,}{:>9.3f}{:>9.3f}".format(row[0], row[1] | int, row[2] | int, row[3], row[4]), info=true) }}
  {%- endfor -%}
{%- endmacro -%}

{%- macro write_fitted_seeds(into) -%}
  {#- Whole seed files, so that copying them over seeds/ is all there is to do. -#}
  {%- set folder = project_file(into | string) | replace("'", "''") -%}
  {%- for seed, query in fitted_seeds().items() -%}
    {%- do run_query("copy (" ~ query ~ ") to '" ~ folder ~ "/" ~ seed ~ ".csv' (format csv, header)") -%}
  {%- endfor -%}
  {{ log("Wrote " ~ fitted_seeds() | join(".csv, ") ~ ".csv to " ~ into
    ~ ("" if into == "seeds" else "; the simulation uses them once they lie in seeds/ and dbt seed has run"), info=true) }}
{%- endmacro -%}

{%- macro fitted_multiplier(hazard, kind, name) -%}
(select fitted from fit_factors where hazard = '{{ hazard }}' and kind = '{{ kind }}' and fit_factors.name = {{ name }})
{%- endmacro -%}

{%- macro fitted_seeds() -%}
  {#- Name of each seed and the SQL of its rows; columns that are no hazards stay as they are. -#}
  {%- set seeds = {} -%}
  {%- for seed, kind, name, order in [
    ("config_age_bands", "age", "age_band", "min_age"), ("config_tenure_bands", "tenure", "tenure_band", "min_tenure"),
  ] -%}
    {%- do seeds.update({seed:
      "select bands.* replace (
        round(" ~ fitted_multiplier("termination", kind, "bands." ~ name) ~ ", 3) as termination_multiplier,
        round(" ~ fitted_multiplier("promotion", kind, "bands." ~ name) ~ ", 3) as promotion_multiplier
      ) from " ~ ref(seed) ~ " as bands order by " ~ order
    }) -%}
  {%- endfor -%}
  {%- do seeds.update({
    "config_level_hazards":
      "select hazard, name::integer as job_level, fitted as multiplier from fit_factors where kind = 'level'
      order by hazard, job_level",
    "config_hazards":
      "select hazards.* replace (coalesce(
        case when hazards.hazard = 'promotion' then (select fitted from fit_rates where fit_rates.hazard = 'promotion') end,
        base_rate
      ) as base_rate) from " ~ ref("config_hazards") ~ " as hazards order by hazard desc",
    "comp_levers":
      "select levers.* exclude (place) replace (coalesce(rates.fitted, parameter_value) as parameter_value,
        case when rates.fitted is null then created_by else 'fit_hazards' end as created_by)
      from (select *, row_number() over () as place from " ~ ref("comp_levers") ~ ") as levers
      left join (
        select fitted, case rate_group when 'new' then 'new_hire_termination_rate' else 'total_termination_rate' end as lever
        from fit_rates where hazard = 'termination'
      ) as rates
        on levers.parameter_name = rates.lever and levers.scenario_id = 'default'
        and levers.fiscal_year is null and levers.job_level is null and not coalesce(levers.is_locked, false)
      order by place",
  }) -%}
  {{ return(seeds) }}
{%- endmacro -%}
