{%- macro lever_names() -%}
  {#- Every lever; int_effective_parameters reads their vars and config_levers describes them. -#}
  {{ return([
    "merit_base", "merit_budget", "cola_rate", "promotion_raise", "promotion_rate_multiplier",
    "new_hire_salary_adjustment", "target_growth_rate", "total_termination_rate", "new_hire_termination_rate",
    "structure_adjustment_rate", "minimum_adjustment_share", "equity_pool",
  ]) }}
{%- endmacro -%}

{%- macro lever_override(value) -%}
  {#- A lever given on the command line, as the plain literal, or NULL when it is unset. -#}
{%- if value is none -%}cast(null as double){%- else -%}cast({{ value }} as double){%- endif -%}
{%- endmacro -%}

{%- macro lever(parameter_name) -%}
  {#- The value of a company-wide lever in the simulated year. A level lever is joined. -#}
(select lever.parameter_value from {{ ref("int_effective_parameters") }} as lever where lever.parameter_name = '{{ parameter_name }}')
{%- endmacro -%}

{%- macro level_levers(parameter_name) -%}
  {#- One row a job level with the value of the lever in the simulated year. -#}
(select lever.job_level, lever.parameter_value from {{ ref("int_effective_parameters") }} as lever where lever.parameter_name = '{{ parameter_name }}')
{%- endmacro -%}

{%- macro lever_rows(parameter_name) -%}
  {#- The same, without a way from other levers' vars to it: while those are tried, what is built on a
      lever that none of them gives stays as it is. -#}
  {%- if var(parameter_name) is none -%}
(select lever.job_level, lever.parameter_value from {{ ref("int_lever_rows") }} as lever where lever.parameter_name = '{{ parameter_name }}')
  {%- else -%}
{{ level_levers(parameter_name) }}
  {%- endif -%}
{%- endmacro -%}

{%- macro is_turnover() -%}
  {#- Whether the termination rates are HR's: leavers over average headcount, and of a first year. -#}
  {{ return(choice("termination_rates", ["cohort", "turnover"]) == "'turnover'") }}
{%- endmacro -%}

{%- macro new_hire_exit_rate() -%}
  {#- Chance of hires to leave in their calendar year, and again in the next. As a first-year rate F it is
      found from F = h + (1 - h) h / 2: survivors are half-way through the next year on average when
      their 12 months end. -#}
  {%- if is_turnover() -%}
(1.5 - sqrt(2.25 - 2 * {{ lever('new_hire_termination_rate') }}))
  {%- else -%}
{{ lever('new_hire_termination_rate') }}
  {%- endif -%}
{%- endmacro -%}

{%- macro experienced_exit_rate() -%}
  {%- if is_turnover() -%}
(select found.experienced_rate from experienced_rates as found)
  {%- else -%}
{{ lever('total_termination_rate') }}
  {%- endif -%}
{%- endmacro -%}
