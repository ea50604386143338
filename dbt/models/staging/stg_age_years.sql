{#- Bands expanded to one row a full year: a person finds the band by an equality join. -#}
{{ years_of_bands(
  "config_age_bands", "age", ["age_band", "termination_multiplier", "promotion_multiplier"], name="age_band"
) }}
