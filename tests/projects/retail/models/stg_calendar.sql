select
    cast(value as integer) as month,
    1 + 0.1 * (value % 4) as season
from range(1, 13) as months (value)
