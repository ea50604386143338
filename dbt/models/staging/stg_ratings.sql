with lottery as (
  {{ lottery(ref('config_ratings'), ["rating"], "share") }}
)

select * from lottery
