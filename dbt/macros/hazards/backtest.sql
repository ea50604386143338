{#- Would the fit have foretold the last year? Hazards are fitted to all censuses but the last; the
    last step is then played under many seeds, with the draws and chances of the simulation, and
    what happened is laid beside what was to be expected.

    dbt run-operation backtest --args '{censuses: {2023: a.csv, 2024: b.csv, 2025: c.csv}, into: data}' -#}

{%- macro backtest(censuses, into="data", smoothing=10, seeds=100) -%}
  {%- if execute -%}
    {%- set years = fit_years(censuses, 3) -%}
    {%- set futures = seeds | int(-1) -%}
    {%- if futures < 20 or futures > 1000 -%}
      {{ exceptions.raise_compiler_error("seeds must be a whole number from 20 to 1000, got '" ~ seeds ~ "'.") }}
    {%- endif -%}
    {%- do load_fit_censuses(censuses, years) -%}
    {%- do estimate_hazards(years, smoothing, below_year=years[-2]) -%}
    {%- do play_last_step(years[-2] | int, futures) -%}
    {%- do run_query("copy (select * from backtest_score order by item) to '" ~ project_file(into | string) | replace("'", "''")
      ~ "/backtest.csv' (format csv, header)") -%}
    {%- do tell_backtest(years, futures, into) -%}
  {%- endif -%}
{%- endmacro -%}

{%- macro backtest_chances(year, column) -%}
  {#- SQL: people of the last step with their chances, from `column` of factors and rates. Leaving is
      scaled to the mean rate of each group, as int_termination_calibration does. -#}
    select
      steps.*,
      {{ person_key_high("steps.employee_id") }} as key_high,
      {{ person_key_low("steps.employee_id") }} as key_low,
      {%- for hazard in ["termination", "promotion"] %}
      {{ hazard }}_age.{{ column }} * {{ hazard }}_tenure.{{ column }} * {{ hazard }}_level.{{ column }} as {{ hazard }}_multiplier,
      {%- endfor %}
      case when steps.is_new then rates.new_rate else rates.experienced_rate end as mean_rate,
      rates.promotion_rate
    from fit_steps as steps
    {%- for hazard in ["termination", "promotion"] %}
    {%- for kind, name in [("age", "steps.age_band"), ("tenure", "steps.tenure_band"), ("level", "steps.job_level::varchar")] %}
    inner join fit_factors as {{ hazard }}_{{ kind }} on {{ hazard }}_{{ kind }}.hazard = '{{ hazard }}'
      and {{ hazard }}_{{ kind }}.kind = '{{ kind }}' and {{ hazard }}_{{ kind }}.name = {{ name }}
    {%- endfor %}
    {%- endfor %}
    cross join (
      select
        max({{ "present_rate" if column == "present" else "fitted" }}) filter (where rate_group = 'new') as new_rate,
        max({{ "present_rate" if column == "present" else "fitted" }}) filter (where rate_group = 'experienced') as experienced_rate,
        max({{ "present_rate" if column == "present" else "fitted" }}) filter (where rate_group = 'all') as promotion_rate
      from fit_rates
    ) as rates
    where steps.year = {{ year }}
{%- endmacro -%}

{%- macro backtest_people(year, column) -%}
    select
      chances.*,
      least(1, mean_rate * termination_multiplier * count(*) over (partition by is_new)
        / sum(termination_multiplier) over (partition by is_new)) as leaving,
      case when tenure >= {{ var("promotion_minimum_tenure") }} and age < {{ var("promotion_age_limit") }}
          and job_level < (select max(job_level) from {{ ref("stg_job_levels") }})
        then least(1, promotion_rate * promotion_multiplier) else 0 end as promotion
    from ({{ backtest_chances(year, column) }}) as chances
{%- endmacro -%}

{%- macro backtest_counts(left, promoted) -%}
  {#- Sums of two amounts a person, over everyone and by band: one row an item. -#}
  {%- set groupings = {"": "''", " of new hires": "is_new", ", age ": "age_band", ", tenure ": "tenure_band", ", level ": "job_level"} %}
    {%- for label, column in groupings.items() %}
    {%- for what, amount in [("leavers", left), ("promotions", promoted)] if not (what == "promotions" and column == "is_new") %}
    select '{{ what }}{{ label }}' {% if label and column != "is_new" %}|| {{ column }}{% endif %} as item, sum({{ amount }})::double as amount
    from people {% if column == "is_new" %}where is_new{% endif %} group by 1
    {{ "union all" if not (loop.last and column == "job_level") }}
    {%- endfor %}
    {%- endfor %}
{%- endmacro -%}

{%- macro play_last_step(year, futures) -%}
  {#- backtest_score: one row an item, with what happened, what was expected and the band of the futures. -#}
  {%- do run_query("create or replace temp table backtest_fitted as " ~ backtest_people(year, "fitted")) -%}
  {%- do run_query("create or replace temp table backtest_present as " ~ backtest_people(year, "present")) -%}
  {%- for seed in range(1, futures + 1) -%}
    {#- Only the promotions of those who stay can be seen in a census. -#}
    {%- do run_query(
      ("create or replace temp table backtest_futures as " if loop.first else "insert into backtest_futures ")
      ~ "with people as (select *, " ~ draw("termination", year=year, seed=seed) ~ " < leaving as leaves, "
      ~ draw("promotion", year=year, seed=seed) ~ " < promotion as rises from backtest_fitted) "
      ~ "select " ~ seed ~ " as seed, * from (" ~ backtest_counts("leaves::integer", "(rises and not leaves)::integer") ~ ")"
    ) -%}
  {%- endfor -%}
  {%- do run_query(
    "create or replace temp table backtest_score as
    with happened as (with people as (select * from backtest_fitted) "
      ~ backtest_counts("has_left::integer", "(could_be_promoted and is_promoted)::integer") ~ "),
    expected as (with people as (select * from backtest_fitted) " ~ backtest_counts("leaving", "promotion * (1 - leaving)") ~ "),
    before_fit as (with people as (select * from backtest_present) " ~ backtest_counts("leaving", "promotion * (1 - leaving)") ~ "),
    bands as (
      select item, quantile_disc(amount, 0.05) as low, quantile_disc(amount, 0.95) as high from backtest_futures group by item
    ),
    -- The futures hold the luck of one year. The fit saw the luck of its own person-years, so the
    -- distance to what happened varies by the root of 1 + people played / person-years fitted.
    widened as (
      select bands.item,
        greatest(0, floor(expected.amount - (expected.amount - bands.low) * fit.spread)) as low,
        ceil(expected.amount + (bands.high - expected.amount) * fit.spread) as high
      from bands inner join expected using (item)
      cross join (
        select sqrt(1 + count(*) filter (where year = " ~ year ~ ") / count(*) filter (where year < " ~ year ~ ")) as spread
        from fit_steps
      ) as fit
    )
    select item, happened.amount as happened, round(expected.amount, 1) as expected, low, high,
      happened.amount between low and high as is_inside, round(before_fit.amount, 1) as expected_without_fit
    from happened inner join expected using (item) inner join widened using (item) inner join before_fit using (item)
    where happened.amount > 0 or expected.amount > 0"
  ) -%}
{%- endmacro -%}

{%- macro tell_backtest(years, futures, into) -%}
  {{ log("Backtest: fitted on " ~ years[0] ~ " to " ~ years[-2] ~ ", played from " ~ years[-2] ~ " to " ~ years[-1]
    ~ " under " ~ futures ~ " seeds", info=true) }}
  {{ log("  " ~ "{:<26}{:>9}{:>10}{:>16}{:>9}{:>14}".format("", "happened", "expected", "5 to 95 %", "", "without fit"), info=true) }}
  {%- for row in run_query("select item, happened, expected, low, high, is_inside, expected_without_fit from backtest_score order by item").rows -%}
    {{ log("  " ~ "{:<26}{:>9,}{:>10,.1f}{:>16}{:>9}{:>14,.1f}".format(
      row[0], row[1] | int, row[2], "{:,} to {:,}".format(row[3] | int, row[4] | int),
      "inside" if row[5] else "OUTSIDE", row[6]), info=true) }}
  {%- endfor -%}
  {%- set score = run_query(
    "select count(*) filter (where is_inside), count(*),
      coalesce(sum(abs(happened - expected)) / nullif(sum(happened), 0), 0),
      coalesce(sum(abs(happened - expected_without_fit)) / nullif(sum(happened), 0), 0)
    from backtest_score"
  ).rows[0] -%}
  {{ log("  " ~ score[0] ~ " of " ~ score[1] ~ " inside their bands (9 of 10 are to be expected); mean error "
    ~ "{:.1%}".format(score[2]) ~ ", without the fit " ~ "{:.1%}".format(score[3]) ~ "; written to " ~ into ~ "/backtest.csv",
    info=true) }}
{%- endmacro -%}
