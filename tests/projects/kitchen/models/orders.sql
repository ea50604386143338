-- No parameter reaches it: it runs once a study.
select
    row_number() over (order by dishes.dish, hours.hour) as order_id,
    dishes.dish,
    dishes.kind,
    dishes.price,
    hours.hour
from {{ ref('dishes') }} as dishes
cross join range(1, 21) as hours (hour)
