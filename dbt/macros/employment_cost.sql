{%- macro employment_cost_rates() -%}
  {{ return(["bonus_target", "benefit_load", "employer_rate", "hiring_cost_rate", "severance_weeks_per_year"]) }}
{%- endmacro -%}
