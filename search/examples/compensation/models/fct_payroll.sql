{{ config(materialized='incremental', unique_key=['simulation_year', 'job_level']) }}

-- People and pay at the end of a year, from the year before. Grain: one row per year and level.
with levels as (

    select * from {{ ref('job_levels') }}

),

opening as (

    {% if is_incremental() %}
    select job_level, closing_people as people, closing_salary as salary
    from {{ this }}
    where simulation_year = {{ var('simulation_year') }} - 1
    {% else %}
    select job_level, people, average_salary as salary
    from levels
    {% endif %}

),

moves as (

    select
        opening.job_level,
        opening.people,
        opening.salary,
        opening.people * {{ var('turnover_rate') }} as exits,
        opening.people * ({{ var('turnover_rate') }} + {{ var('growth_rate') }}) as hires,
        levels.hiring_salary * power(1 + {{ var('cola_rate') }}, {{ var('simulation_year') }} - {{ var('start_year') }})
            as hiring_salary,
        1 + {{ var('merit_budget') }} * levels.merit_weight + {{ var('cola_rate') }} as raise_factor
    from opening
    inner join levels on opening.job_level = levels.job_level

),

closing as (

    select
        {{ var('simulation_year') }} as simulation_year,
        job_level,
        people as opening_people,
        people - exits + hires as closing_people,
        ((people - exits) * salary * raise_factor + hires * hiring_salary) / (people - exits + hires)
            as closing_salary
    from moves

)

select
    *,
    -- Who stays is paid all year, who is hired comes in the middle of it on average.
    closing_salary * (opening_people + closing_people) / 2 as payroll
from closing
