{%- macro own_census(path) -%}
select 1
{%- endmacro -%}
