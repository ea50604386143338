{#- Chance of retirement in a year by age: bands expanded to one row a full year. -#}
{{ years_of_bands("config_retirement", "age", ["rate"], shares=["rate"]) }}
