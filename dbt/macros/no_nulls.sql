{%- test no_nulls(model, columns) -%}
  {#- One pass for many columns: a test a column would cost more than the simulated year. -#}
select {{ columns | join(", ") }}
from {{ model }}
where {{ columns | join(" is null or ") }} is null
{%- endtest -%}
