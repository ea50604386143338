{#- Money is DECIMAL(18, 2) in every table. It is worked out in whole cents and rates in whole
    ten-billionths, both BIGINT: as exact as decimals would be, but DuckDB keeps a decimal product
    of more than 18 digits in 128 bits, and dividing and rounding those is ten times slower. -#}

{%- macro cents(amount) -%}cast(({{ amount }}) * 100 as bigint){%- endmacro -%}

{%- macro dollars(cents) -%}
  {#- DECIMAL(18, 2) of whole cents, less than 10^16 of them. -#}
cast({{ cents }} as decimal(16, 0)) * cast(0.01 as decimal(2, 2))
{%- endmacro -%}

{%- macro rate_units(rate) -%}
  {#- A rate in ten-billionths, to the nearest: products with money are then exact and sums do not
      depend on the order of rows. -#}
cast({{ rate }} * 10000000000 as bigint)
{%- endmacro -%}

{%- macro cents_times(amount, units, places=2) -%}
  {#- Cents, rounded half-up once, of an amount times a rate. `amount` counts 10^-places USD (2 for
      cents), `units` are rate_units of a rate that is not negative. The rate is split in two, so
      that nothing overflows while amount x rate is below 9 x 10^13 (9 x 10^11 USD in cents, 9 x 10^7
      in millionths); that the floor of a floor is the floor of the whole makes the result exact. -#}
  {%- set divisor = 10 ** (places + 3) -%}
(({{ amount }} * ({{ units }} // 100000) + ({{ amount }} * ({{ units }} % 100000)) // 100000 + {{ divisor // 2 }}) // {{ divisor }})
{%- endmacro -%}

{%- macro part_time(amount, fte) -%}
  {#- Cents of a full-time amount at a share of a full-time job, rounded half-up. -#}
{{ cents_times(cents(amount), rate_units(fte)) }}
{%- endmacro -%}

{%- macro full_time_cents(pay, fte) -%}
  {#- Cents that a full-time job would pay, rounded half-up; the pay itself where there is no fte. -#}
case
  when {{ fte }} <> 1
    then (2 * {{ cents(pay) }} * 10000 + cast({{ fte }} * 10000 as bigint)) // (2 * cast({{ fte }} * 10000 as bigint))
  else {{ cents(pay) }}
end
{%- endmacro -%}

{%- macro exact(rate) -%}
  {#- A rate as a decimal of ten places, for sums over a few groups. More than 18 digits wide,
      because DuckDB lets the product of two narrower decimals overflow in 18 digits. -#}
cast({{ rate }} as decimal(20, 10))
{%- endmacro -%}

{%- macro promoted_pay(pay, raise_rate, new_level_minimum) -%}
  {#- Pay after a promotion: raised, lifted to the new level's minimum, within the caps. -#}
  {%- set raised = cents_times(cents(pay), "(10000000000 + " ~ rate_units(raise_rate) ~ ")") -%}
  {%- set capped = cents_times(cents(pay), "(10000000000 + " ~ rate_units(var("promotion_cap_rate")) ~ ")") -%}
{{ dollars(
  "least(greatest(" ~ raised ~ ", " ~ cents(new_level_minimum) ~ "), " ~ capped ~ ", "
  ~ cents(pay) ~ " + " ~ cents(var("promotion_cap_amount")) ~ ")"
) }}
{%- endmacro -%}

{%- macro raise_units(raise_rate) -%}
  {#- What a yearly raise multiplies pay with, its relative cap included, in ten-billionths. -#}
(10000000000 + least({{ rate_units(raise_rate) }}, {{ rate_units(var("raise_cap_rate")) }}))
{%- endmacro -%}

{%- macro raised_pay(pay, raise_units) -%}
  {#- Pay after the yearly raise, within the cap in USD. -#}
{{ dollars(
  "least(" ~ cents_times(cents(pay), raise_units) ~ ", " ~ cents(pay) ~ " + " ~ cents(var("raise_cap_amount")) ~ ")"
) }}
{%- endmacro -%}

{%- macro range_positions() -%}
  {{ return(["below_minimum", "lower_third", "middle_third", "upper_third", "above_maximum"]) }}
{%- endmacro -%}

{%- macro range_position(pay, fte, band) -%}
  {#- Where full-time pay stands in its band; exact, with bounds that belong to the part above them, and
      the maximum to the upper third. -#}
case
  when {{ cents(pay) }} < {{ part_time(band ~ ".min_pay", fte) }} then 'below_minimum'
  when {{ cents(pay) }} > {{ part_time(band ~ ".max_pay", fte) }} then 'above_maximum'
  when 3 * ({{ cents(pay) }} - {{ part_time(band ~ ".min_pay", fte) }})
    < {{ part_time(band ~ ".max_pay", fte) }} - {{ part_time(band ~ ".min_pay", fte) }} then 'lower_third'
  when 3 * ({{ cents(pay) }} - {{ part_time(band ~ ".min_pay", fte) }})
    < 2 * ({{ part_time(band ~ ".max_pay", fte) }} - {{ part_time(band ~ ".min_pay", fte) }}) then 'middle_third'
  else 'upper_third'
end
{%- endmacro -%}
