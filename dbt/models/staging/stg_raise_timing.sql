with lottery as (
  {{ lottery(ref('config_raise_timing'), ["raise_month", "raise_day"], "share", partition="raise_timing") }}
)

select * from lottery
