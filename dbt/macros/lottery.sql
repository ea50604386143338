{%- macro lottery(relation, outcome, share, partition=none) -%}
  {#- Expands rows with shares into 10,000 numbered slots, so that a draw finds its outcome
      by an equality join instead of a range join over a million rows. Shares must be
      multiples of 0.0001 and sum to 1 (within each partition). -#}
  {%- set over = ("partition by " ~ partition) if partition else "" -%}
  {%- set slots = lottery_slots() -%}
select
  {% if partition %}{{ partition }},{% endif %}
  {{ outcome | join(", ") }},
  unnest(range(cast(upper_slot - share_slots as bigint), cast(upper_slot as bigint))) as slot,
from (
  select
    *,
    case
      when sum({{ share }}) over ({{ over }}) <> 1
        then error(
          'Shares in {{ relation.identifier }} (seeds/{{ relation.identifier }}.csv) must sum to 1 within {{ partition or "the table" }}, got '
          || sum({{ share }}) over ({{ over }})
        )
      when count(*) over (partition by {% if partition %}{{ partition }}, {% endif %}{{ outcome | join(", ") }}) > 1
        then error(
          '{{ relation.identifier }} (seeds/{{ relation.identifier }}.csv) has several rows for '
          || concat_ws(', ', {% if partition %}{{ partition }}, {% endif %}{{ outcome | join(", ") }})
        )
      when {{ share }} is null or {% for column in outcome %}{{ column }} is null{{ " or " if not loop.last }}{% endfor %}
        then error('{{ relation.identifier }} (seeds/{{ relation.identifier }}.csv) has a row with an empty value')
      when {{ share }} < 0 or {{ share }} * {{ slots }} <> floor({{ share }} * {{ slots }})
        then error(
          'Shares in {{ relation.identifier }} (seeds/{{ relation.identifier }}.csv) must be multiples of 0.0001 '
          || 'from 0 to 1, got ' || {{ share }}
        )
      else {{ share }} * {{ slots }}
    end as share_slots,
    sum({{ share }} * {{ slots }}) over ({{ over }} order by {{ outcome | join(", ") }}) as upper_slot,
  from {{ relation }}
)
{%- endmacro -%}
