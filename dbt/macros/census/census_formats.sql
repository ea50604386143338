{#- How values of a census are written. Without a format a column is read as it always was: dates as
    YYYY-MM-DD, amounts as plain numbers, words as they stand. -#}

{%- macro census_format_mistake(kind, format) -%}
  {#- What is wrong with a format for a kind of column, or none. -#}
  {%- if kind == "date" -%}
    {%- set shapes = [] -%}
    {%- for one in format.split("|") -%}
      {%- set pattern = one | trim -%}
      {%- if not modules.re.fullmatch("(YYYY|MMM|MM|DD)([^A-Za-z0-9%']?)(YYYY|MMM|MM|DD)\\2(YYYY|MMM|MM|DD)", pattern)
          or pattern.count("YYYY") != 1 or pattern.count("DD") != 1 or "M" not in pattern -%}
        {{ return("must be made of YYYY, MM (or MMM for Jan) and DD with one separator, several apart by |, such as MM/DD/YYYY | YYYY-MM-DD") }}
      {%- endif -%}
      {%- do shapes.append(pattern | replace("MMM", "mon") | replace("MM", "x") | replace("DD", "x")) -%}
    {%- endfor -%}
    {%- if shapes | unique | list | length < shapes | length -%}
      {{ return("must not read one date in two ways: day and month change places") }}
    {%- endif -%}
  {%- elif kind == "amount" -%}
    {%- if not modules.re.fullmatch("1[,.' ]?234[.,]56", format) or format in ("1,234,56", "1.234.56") -%}
      {{ return("must show how 1234.56 is written: 1,234.56 or 1.234,56 or 1'234.56 or 1 234,56 or 1234,56 or 1234.56") }}
    {%- endif -%}
  {%- elif kind == "word" -%}
    {%- for pair in format.split(";") if pair.split("=") | length != 2 or not pair.split("=")[0] | trim -%}
      {{ return("must say which word stands for which: theirs=ours; theirs=ours") }}
    {%- endfor -%}
  {%- else -%}
    {{ return("must be empty for this column") }}
  {%- endif -%}
  {{ return(none) }}
{%- endmacro -%}

{%- macro census_date(text, format=none) -%}
  {%- if not format -%}
    {#- A year of two digits would be read as one of the first century. -#}
case
  when isfinite(try_cast({{ text }} as date)) and year(try_cast({{ text }} as date)) >= 1000 then try_cast({{ text }} as date)
end
  {%- else -%}
    {%- set patterns = [] -%}
    {%- for one in format.split("|") -%}
      {%- do patterns.append(
        "'" ~ one | trim | replace("YYYY", "%Y") | replace("MMM", "%b") | replace("MM", "%m") | replace("DD", "%d") ~ "'"
      ) -%}
    {%- endfor -%}
    {#- Spreadsheets add a midnight. -#}
    {%- set read = "try_strptime(regexp_replace(" ~ text ~ ", '[ T](12|00?):00(:00)?([.]0+)?( AM)?$', ''), ["
      ~ patterns | join(", ") ~ "])" -%}
case when year({{ read }}) >= 1000 then cast({{ read }} as date) end
  {%- endif -%}
{%- endmacro -%}

{%- macro census_amount_parts(text, format) -%}
  {#- The number, and what stands before and behind it: a currency's sign or three letters. -#}
  {%- set group = format[1] if format | length == 8 else "" -%}
  {%- set point = format[-3] -%}
  {%- set whole = "(?:[0-9]{1,3}(?:[" ~ group ~ "][0-9]{3})+|[0-9]+)" if group else "[0-9]+" -%}
regexp_extract(
  translate({{ text }}, chr(160) || chr(8239) || chr(8217), '  '''),
  '^(?:([$€£]|[A-Za-z]{3}) ?)?(-?{{ whole | replace("'", "''") }}(?:[{{ point }}][0-9]+)?)(?: ?([$€£]|[A-Za-z]{3}))?$',
  ['front', 'number', 'back']
)
{%- endmacro -%}

{%- macro census_amount(text, format, places) -%}
  {%- if not format -%}
try_cast({{ text }} as decimal(18, {{ places }}))
  {%- else -%}
    {%- set group = format[1] if format | length == 8 else "" -%}
    {%- set number = census_amount_parts(text, format) ~ "['number']" -%}
    {%- if group -%}{%- set number = "replace(" ~ number ~ ", '" ~ group | replace("'", "''") ~ "', '')" -%}{%- endif -%}
    {%- if format[-3] == "," -%}{%- set number = "replace(" ~ number ~ ", ',', '.')" -%}{%- endif -%}
try_cast({{ number }} as decimal(18, {{ places }}))
  {%- endif -%}
{%- endmacro -%}

{%- macro census_currency(text, format) -%}
  {#- The currency that an amount names, or NULL. -#}
  {%- if not format -%}
cast(null as varchar)
  {%- else -%}
    {%- set parts = census_amount_parts(text, format) -%}
{{ census_currency_name("coalesce(nullif(" ~ parts ~ "['front'], ''), nullif(" ~ parts ~ "['back'], ''))") }}
  {%- endif -%}
{%- endmacro -%}

{%- macro census_currency_name(text) -%}
case {{ text }} when '$' then 'USD' when '€' then 'EUR' when '£' then 'GBP' else upper({{ text }}) end
{%- endmacro -%}

{%- macro census_word(text, format=none) -%}
  {#- The word that the mapping has for it, without regard to case, else the word itself. -#}
  {%- if not format -%}
{{ text }}
  {%- else -%}
case lower({{ text }})
    {%- for pair in format.split(";") -%}
      {%- set sides = pair.split("=") %} when '{{ sides[0] | trim | lower | replace("'", "''") }}' then nullif('{{ sides[1] | trim | replace("'", "''") }}', '')
    {%- endfor %} else {{ text }} end
  {%- endif -%}
{%- endmacro -%}

{%- macro census_pay_type(text, format=none) -%}
case lower({{ census_word(text, format) }}) when 'hourly' then 'hourly' when 'salaried' then 'salaried' end
{%- endmacro -%}

{%- macro census_whole(text, format=none) -%}
  {#- 2.5 would be rounded by a cast to integer; only whole numbers exist. -#}
  {%- set word = census_word(text, format) -%}
case when try_cast({{ word }} as double) = floor(try_cast({{ word }} as double)) then try_cast({{ word }} as integer) end
{%- endmacro -%}

{%- macro census_share(text) -%}
  {#- 0.8 or 80 %. -#}
try_cast(case
  when {{ text }} like '%\%' escape '\'
    then try_cast(rtrim({{ text }}, ' %') as decimal(9, 4)) * cast(0.01 as decimal(3, 2))
  else try_cast({{ text }} as decimal(9, 4))
end as decimal(6, 4))
{%- endmacro -%}

{%- macro census_number_var(name, lowest, highest) -%}
  {%- set value = var(name) | float(-1) -%}
  {%- if value < lowest or value > highest -%}
    {{ exceptions.raise_compiler_error(name ~ " must be a number from " ~ lowest ~ " to " ~ highest ~ ", got '" ~ var(name) ~ "'.") }}
  {%- endif -%}
  {{ return(value) }}
{%- endmacro -%}
