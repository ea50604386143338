{#- Adjustments of January 1 are joined only where there can be any: DuckDB plans a join with an empty table
    as long as one with a full one. -#}

{%- macro has_adjustments() -%}
  {#- Whether a var gives one of the two levers, or adjustments is rows: then comp_levers may. -#}
  {{ return(
    choice("adjustments", ["vars", "rows"]) == "'rows'"
    or var("minimum_adjustment_share") is not none or var("equity_pool") is not none
  ) }}
{%- endmacro -%}

{%- macro join_adjustments(people) -%}
  {%- if has_adjustments() -%}
left join adjustments on {{ people }}.employee_id = adjustments.employee_id
  {%- endif -%}
{%- endmacro -%}

{%- macro adjusted_pay() -%}
  {#- Pay after the adjustments of January 1. -#}
  {%- if has_adjustments() -%}
coalesce(adjustments.pay_after, opening_workforce.annual_salary)
  {%- else -%}
opening_workforce.annual_salary
  {%- endif -%}
{%- endmacro -%}

{%- macro after_adjustment() -%}
  {#- 1 more in the sequence of a person's year after an adjustment. -#}
  {%- if has_adjustments() -%}
+ cast(adjustments.employee_id is not null as integer)
  {%- endif -%}
{%- endmacro -%}
