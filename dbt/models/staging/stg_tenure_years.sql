{#- Bands expanded to one row a full year: a person finds the band by an equality join. -#}
{{ years_of_bands(
  "config_tenure_bands", "tenure", ["tenure_band", "termination_multiplier", "promotion_multiplier"],
  name="tenure_band"
) }}
