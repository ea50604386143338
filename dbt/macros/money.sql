{%- macro money(amount) -%}
  {#- Rounds half-up to cents. Callers pass DECIMAL products, so the rounding is exact. -#}
cast(round({{ amount }}, 2) as decimal(18, 2))
{%- endmacro -%}

{%- macro exact(rate) -%}
  {#- A DOUBLE rate as a decimal of ten places: products with money are then exact and
      sums do not depend on the order of rows. More than 18 digits wide, because DuckDB keeps
      the product of two narrower decimals in 18 digits and lets it overflow. -#}
cast({{ rate }} as decimal(20, 10))
{%- endmacro -%}

{%- macro cents(amount) -%}cast({{ amount }} * 100 as bigint){%- endmacro -%}

{%- macro promoted_pay(pay, raise_rate, new_level_minimum) -%}
  {#- Pay after a promotion: raised, lifted to the new level's minimum, within the caps. -#}
{{ money(
  "least(greatest(" ~ pay ~ " * (1 + " ~ exact(raise_rate) ~ "), " ~ new_level_minimum ~ "), "
  ~ pay ~ " * (1 + " ~ exact(var("promotion_cap_rate")) ~ "), " ~ pay ~ " + " ~ var("promotion_cap_amount") ~ ")"
) }}
{%- endmacro -%}

{%- macro raise_factor(raise_rate) -%}
  {#- What a yearly raise multiplies pay with, its relative cap included. Worked out once a level,
      because decimals this wide are slow by the row. -#}
least(1 + {{ exact(raise_rate) }}, 1 + {{ exact(var("raise_cap_rate")) }})
{%- endmacro -%}

{%- macro raised_pay(pay, raise_factor) -%}
  {#- Pay after the yearly raise, within the cap in USD. -#}
{{ money("least(" ~ pay ~ " * " ~ raise_factor ~ ", " ~ pay ~ " + " ~ var("raise_cap_amount") ~ ")") }}
{%- endmacro -%}
