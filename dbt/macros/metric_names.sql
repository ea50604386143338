{%- macro metric_names() -%}
  {#- What fct_optimization_metrics reports, each a column of its periods. -#}
  {{ return([
    "total_compensation_cost",
    "average_compensation",
    "median_compensation",
    "compensation_growth_rate",
    "median_merit_increase",
    "promotion_rate",
    "closing_headcount",
    "pay_equity_cv",
    "mean_compa_ratio",
  ]) }}
{%- endmacro -%}
