{#- Hazards of leaving and promotion from a company's own history: two to five censuses, each of
    January 1 of its year.

    dbt run-operation fit_hazards --args '{censuses: {2024: data/2024.csv, 2025: data/2025.csv}, into: data}'

    The model is that of the simulation: chance = rate x age x tenure x level multiplier. Each
    multiplier is what was seen over what the others expect, with `smoothing` events of the present
    seeds' opinion mixed in: (events + smoothing) / (expected + smoothing / present). That is the mean of
    a gamma prior around the present multiplier after Poisson counts (Bühlmann's credibility), worked
    out in turns for age, tenure, level and rate until none moves (iterative proportional fitting). -#}

{%- macro fit_hazards(censuses, into="data", smoothing=10) -%}
  {%- if execute -%}
    {%- set years = fit_years(censuses, 2) -%}
    {%- do load_fit_censuses(censuses, years) -%}
    {%- do estimate_hazards(years, smoothing) -%}
    {%- do tell_fit(years) -%}
    {%- do write_fitted_seeds(into) -%}
  {%- endif -%}
{%- endmacro -%}

{%- macro fit_years(censuses, fewest) -%}
  {#- The years of the censuses in order; refused unless they follow each other. -#}
  {%- set problems = [] -%}
  {%- if censuses is not mapping -%}
    {%- do problems.append("got '" ~ censuses ~ "'") -%}
  {%- else -%}
    {%- set years = censuses | list | sort(attribute=none) -%}
    {%- for year in years if not modules.re.fullmatch("(19|20|21)[0-9]{2}", year | string) -%}
      {%- do problems.append("'" ~ year ~ "' is not a year") -%}
    {%- endfor -%}
    {%- if not fewest <= years | length <= 5 -%}
      {%- do problems.append("got " ~ years | length ~ " of them") -%}
    {%- elif not problems and years[-1] | int - years[0] | int != years | length - 1 -%}
      {%- do problems.append("the years must follow each other, but are " ~ years | join(", ")) -%}
    {%- endif -%}
  {%- endif -%}
  {%- if problems -%}
    {{ exceptions.raise_compiler_error(
      "censuses must be " ~ fewest ~ " to 5 files by the year on whose January 1 each was taken, such as "
      ~ "{2024: data/2024.csv, 2025: data/2025.csv}; " ~ problems | join("; ") ~ "."
    ) }}
  {%- endif -%}
  {{ return(years) }}
{%- endmacro -%}

{%- macro load_fit_censuses(censuses, years) -%}
  {#- fit_people: who was employed on January 1 of each year, one row a person and year. -#}
  {%- for year in years -%}
    {%- set first_day = "make_date(" ~ year ~ ", 1, 1)" -%}
    {%- set people -%}
      select
        {{ year }} as year,
        people.employee_id,
        people.hire_date,
        people.job_level as named_level,
        coalesce(people.job_level, job_levels.job_level) as job_level,
        {{ year }} - 1 - year(people.birth_date - 1) as age,
        {{ year }} - 1 - year(people.hire_date - 1) as tenure,
        people.hire_date >= make_date({{ year }} - 1, 1, 1) as is_new
      from ({{ own_census(censuses[year], first_year=year | int) }}) as people
      inner join {{ ref("stg_job_levels") }} as job_levels
        on people.annual_salary >= job_levels.pay_from and people.annual_salary < job_levels.pay_below
      where people.hire_date < {{ first_day }} and (people.termination_date is null or people.termination_date >= {{ first_day }})
      qualify row_number() over (partition by people.employee_id order by people.hire_date desc) = 1
    {%- endset -%}
    {%- do run_query(
      ("create or replace temp table fit_people as " if loop.first else "insert into fit_people ") ~ people
    ) -%}
  {%- endfor -%}
  {#- What became of them by the next January 1. Who was hired again within the year had left. -#}
  {%- do run_query(
    "create or replace temp table fit_steps as
    with pairs as (
      select
        people.*, age_years.age_band, tenure_years.tenure_band,
        later.employee_id is null or later.hire_date >= make_date(people.year, 1, 1) as has_left,
        later.named_level > people.named_level as is_promoted,
        later.named_level is not null and people.named_level is not null as has_levels
      from fit_people as people
      inner join " ~ ref("stg_age_years") ~ " as age_years on people.age = age_years.age
      inner join " ~ ref("stg_tenure_years") ~ " as tenure_years on people.tenure = tenure_years.tenure
      left join fit_people as later on people.employee_id = later.employee_id and people.year + 1 = later.year
      where people.year < " ~ years[-1] ~ "
    )
    select
      *,
      not has_left and has_levels and tenure >= " ~ var("promotion_minimum_tenure") ~ "
      and age < " ~ var("promotion_age_limit") ~ "
      and job_level < (select max(job_level) from " ~ ref("stg_job_levels") ~ ") as could_be_promoted
    from pairs"
  ) -%}
{%- endmacro -%}
