with lottery as (
  {{ lottery(ref('config_raise_timing'), ["raise_month", "raise_day"], "share", partition="raise_timing") }}
),

missing as (
  select
    '{{ seed_file("config_raise_timing") }} has no rows for raise_timing '
    || string_agg(wanted.raise_timing, ', ' order by wanted.raise_timing) as problem
  from (values ('january'), ('july'), ('distributed')) as wanted (raise_timing)
  where wanted.raise_timing not in (select lottery.raise_timing from lottery)
),

checked as (
  select
    case when missing.problem is not null then error(missing.problem) else lottery.raise_timing end as raise_timing,
    lottery.raise_month,
    lottery.raise_day,
    lottery.slot
  from missing
  left join lottery on true
)

select * from checked
