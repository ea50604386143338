-- The company's own database, which the project attaches: duckdb warehouse.duckdb < warehouse.sql
create table orders as
select
    range as order_id,
    1 + range % 3 as month,
    1 + range % 4 as product_id,
    5 + range % 7 as quantity
from range(300);
