{{ config(materialized='external', location='months.parquet') }}

-- for the people who plan in a spreadsheet: it only leaves the project
select * from {{ ref('months') }}
