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
    case
      when missing.problem is not null then error(missing.problem)
      when lottery.raise_timing not in ('january', 'july', 'distributed')
        then error(
          '{{ seed_file("config_raise_timing") }} has a row for raise_timing ' || lottery.raise_timing
          || ', which no model reads'
        )
      when lottery.raise_month not between 1 and 12 or lottery.raise_day not between 1 and 28
        then error(
          '{{ seed_file("config_raise_timing") }}: raise_month must be from 1 to 12 and raise_day from 1 to 28, got '
          || lottery.raise_month || ' and ' || lottery.raise_day || ' for ' || lottery.raise_timing
        )
      else lottery.raise_timing
    end as raise_timing,
    lottery.raise_month,
    lottery.raise_day,
    lottery.slot
  from missing
  left join lottery on true
)

select * from checked
