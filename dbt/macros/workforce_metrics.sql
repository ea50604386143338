{%- macro workforce_metrics() -%}
  {#- Metric and unit, in the order of docs/simulation.md. -#}
  {{ return([
    ("below_minimum_count", "people"),
    ("below_minimum_share", "fraction"),
    ("cost_to_minimum", "USD"),
    ("above_maximum_share", "fraction"),
    ("compa_ratio_p10", "ratio"),
    ("compa_ratio_p50", "ratio"),
    ("compa_ratio_p90", "ratio"),
    ("range_penetration", "ratio"),
    ("gini", "ratio"),
    ("new_hire_compression", "ratio"),
    ("payroll_growth_vs_base", "fraction"),
    ("increase_pool_pct", "fraction"),
    ("loaded_cost", "USD"),
    ("average_headcount", "people"),
    ("turnover", "fraction"),
    ("voluntary_turnover", "fraction"),
    ("involuntary_turnover", "fraction"),
    ("retirement_rate", "fraction"),
    ("gender_pay_gap_median", "fraction"),
    ("gender_pay_gap_within_levels", "fraction"),
  ]) }}
{%- endmacro -%}
