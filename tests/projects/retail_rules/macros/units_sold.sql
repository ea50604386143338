{% macro units_sold(base_units, price_ratio) -%}
    cast(round({{ base_units }} * pow({{ price_ratio }}, -{{ var('elasticity') }})) as bigint)
{%- endmacro %}
