"""Small dbt projects made by Hypothesis: what a project may be, drawn at random.

Each is a graph of models over a baseline: tables, views, ephemeral and incremental models of
every strategy, seeds, dbt snapshots, hooks, temporary tables, state that passes from one year
to the next, relations that an earlier run left behind, odd names, other schemas. Vars stand as
SQL literals, in Jinja arithmetic, in conditions, loops, lists, configs, macros and hooks. Around
them stands a world: external models, attached databases, hooks that write files, draws with a
seed or without, settings, files that are read, environment variables, columns of a literal's type,
tables with rules.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dbt_scenario import Around, Mini
from hypothesis import strategies as st

from search.scenario.plan import PlannedMetric, TableBind
from search.study.steps import ExpandedStep

T = TypeVar("T")

PARAMETERS: dict[str, dict[str, Any]] = {
    "f1": {"low": -2.0, "high": 2.0, "current": 0.5},
    "f2": {"low": 0.0, "high": 1.0, "current": 0.25},
    "n": {"low": 1, "high": 3, "type": "integer", "current": 2},
    "s": {"choices": ["aa", "bbb"], "current": "aa"},
    "b": {"choices": [True, False], "current": True},
    "tip": {"low": 0.0, "high": 1.0, "current": 0.5},
}
TIP = TableBind("tip", "levers", '"raw"."levers"', "value", "name = 'tip'")
MACROS = """
{% macro scaled(x) %}({{ x }} * {{ var('f1') }}){% endmacro %}
{% macro bumped(x) %}{% if var('n') > 1 %}{{ x }} + {{ var('n') }}{% else %}{{ x }}{% endif %}
{% endmacro %}
"""
FORMER = (
    "{% set former = load_relation(this) %}{% if former is not none %} union all "
    "select k + 50, v * 0.5 from {{ former }} where k < 50{% endif %}"
)
TYPED = ("{{ var('f1') }}", "{{ var('f2') }} + 0.5", "max(k) * {{ var('f2') }}")
"""Columns whose type is a literal's."""
SETUP = (
    "create schema raw",
    "create table raw.facts as select range as k, range * 1.3 + 0.1 as v from range(9)",
    "create table raw.levers (name varchar, value double)",
    "insert into raw.levers values ('tip', 0.5), ('other', 2.5)",
    "create view raw.seen as select k, v + 1 as v from raw.facts where k > 1",
)
OTHER = (
    "create table given as select range as k, range * 2.5 as v from range(7)",
    "create view shown as select k, v + 0.25 as v from given",
)
"""A database that a project attaches."""
KINDS = (
    "external,attach,write,draw,settings,file,env,typed,clock,microbatch,sequence,package,use,"
    "python,named,rules"
)
WORLD = tuple(os.environ.get("MADE_WORLD", KINDS).split(","))
"""What projects may have around them; MADE_WORLD names some of the kinds."""
ALIASES = ("Odd Name", "select", "MiXed", "né.é", "v", "facts", "1st-day")


@dataclass(frozen=True)
class MadeProject:
    """A project, and the candidates that both engines evaluate.

    Attributes:
        models: File name to text.
        files: Path below the project's folder to text: seeds, snapshots, macros.
        metrics: By name.
        setup: SQL that makes the baseline.
        project: More for ``dbt_project.yml``.
        steps: In order.
        schema: Schema of the profile.
        candidates: Values of every parameter.
        world: Which kinds of its world it has.
        profile: More for the profile's target.
        seed: What seeds DuckDB, or None.
    """

    models: dict[str, str]
    files: dict[str, str]
    metrics: dict[str, PlannedMetric]
    setup: tuple[str, ...]
    project: dict[str, Any]
    steps: tuple[ExpandedStep, ...]
    schema: str
    candidates: tuple[dict[str, Any], ...]
    world: tuple[str, ...] = ()
    profile: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None

    def mini(self, folder: Path) -> Mini:
        """Return the project, written into a folder."""
        return Mini(
            folder,
            self.models,
            PARAMETERS,
            self.metrics,
            setup=self.setup,
            project=self.project,
            steps=self.steps,
            around=Around(
                self.files,
                self.schema,
                {"tip": TIP},
                self.profile,
                {"other.duckdb": OTHER} if "attach" in self.world else {},
                self.seed,
                may_read=False,
            ),
        )

    def text(self) -> str:
        """Return the project as one text, to read and to repeat a failure from."""
        parts = [f"-- {name}\n{text}" for name, text in (self.models | self.files).items()]
        parts += [f"-- setup: {sql}" for sql in self.setup]
        parts += [f"-- {step}" for step in self.steps]
        parts += [f"-- {metric}" for metric in self.metrics.values()]
        parts += [f"-- {self.project}", f"-- schema {self.schema}"]
        parts += [f"-- world {self.world}, profile {self.profile}, seed {self.seed}"]
        return "\n".join([*parts, *map(str, self.candidates)])


@dataclass(frozen=True)
class _Node:
    """Something that models may read: its Jinja, its SQL name when that is the same for all
    candidates, and whether it is a table.
    """

    jinja: str
    relation: str | None
    is_table: bool = False


@dataclass
class _Maker:
    """Draws one project.

    Args:
        draw: Draws from a strategy.
        is_small: Whether the project is to be small.
    """

    draw: Any
    is_small: bool = False
    models: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    nodes: list[_Node] = field(default_factory=list)
    setup: list[str] = field(default_factory=lambda: list(SETUP))
    project: dict[str, Any] = field(default_factory=dict)
    watched: tuple[str, ...] = ()
    schema: str = "main"
    world: tuple[str, ...] = ()
    profile: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    aliases: list[str] = field(default_factory=lambda: list(ALIASES))

    # --- drawing ----------------------------------------------------------------

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return self.draw(st.sampled_from(list(options)))  # type: ignore[no-any-return]

    def chance(self, percent: int) -> bool:
        """Return true in so many of a hundred cases."""
        return bool(self.draw(st.integers(1, 100)) > 100 - percent)

    def number(self, low: int, high: int) -> int:
        """Return a whole number."""
        return int(self.draw(st.integers(low, high)))

    # --- vars ---------------------------------------------------------------------

    def literal(self) -> str:
        """Return a number in SQL in which a var only prints."""
        options = [
            "{{ var('f1') }}",
            "({{ var('f2') }})",
            "(3 - {{ var('f1') }})",
            "{{ var('f2', 0.7) }}",
            "{{ var('n') }}",
            "length('{{ var('s') }}')",
            "length('x-{{ var('s') }} {{ var('f2') }}')",
            "case when {{ var('b') }} then 2 else 3.5 end",
            "list_sum([{{ [var('f1'), 1, var('n')] | join(', ') }}])",
            "{{ scaled(0.5) }}",
            "{{ var('turn') }}",
            "(select value from raw.levers where name = 'tip')",
            "{{ 1.5 }}",
            "length('{{ invocation_id }}')",
        ]
        return self.pick(options)

    def looked_at(self) -> str:
        """Return a number in SQL for which Jinja looks at a var."""
        name = self.pick(self.watched)
        options = {
            "n": [
                "{{ var('n') * 2 + 1 }}",
                "({{ bumped(1) }})",
                "(0{% for i in range(var('n')) %} + {{ i }} * 1.5{% endfor %})",
                "{{ [var('n'), 2] | max }}",
            ],
            "s": [
                "{% if var('s') == 'aa' %}1.5{% else %}v * 2{% endif %}",
                "{{ var('s') | length }}",
                "{{ {'aa': 4, 'bbb': 5}[var('s')] }}",
            ],
            "b": [
                "{% if var('b') %}1.5{% else %}v * 2{% endif %}",
                "{{ 3 if var('b') else 4 }}",
                "{% if not var('b') %}-{% endif %} v",
            ],
            "f1": ["{{ var('f1') * 2 }}", "{% if var('f1') > 0.75 %}1{% else %}v{% endif %}"],
        }
        return self.pick(options[name])

    def value(self) -> str:
        """Return an expression on a row's ``v``."""
        parts = [self.pick(["v", "v * 1.1", "v + k", "round(v, 3)", "sqrt(abs(v))"])]
        for _ in range(self.number(0, 2)):
            is_looked_at = self.watched and self.chance(25)
            what = self.looked_at() if is_looked_at else self.literal()
            parts.append(f"{self.pick(['+', '-', '*'])} {what}")
        return " ".join(parts)

    # --- models ---------------------------------------------------------------------

    def source(self) -> str:
        """Return something to read from, with columns k and v."""
        if self.world and self.chance(20) and (outside := self.outside()):
            return outside
        near = self.nodes[-4:]
        if near and self.chance(75):
            node = self.pick(near if self.chance(70) else self.nodes)
            return node.jinja
        return self.pick(
            ["raw.facts", "raw.seen", "(select range as k, range * 0.7 as v from range(6))"]
        )

    def outside(self) -> str | None:
        """Return something of the project's world to read from; None when it has nothing."""
        options = []
        if "attach" in self.world:
            options += ["other.given", "other.main.shown"]
        if "file" in self.world:
            options += [
                "(select k, v from read_csv('data/in.csv'))",
                "'data/in.csv'",
                "(select k, v from read_csv('data/part_*.csv'))",
            ]
        if "env" in self.world:
            options.append(
                "(select range as k, {{ env_var('MADE_' ~ 'RATE', '1.5') }} as v from range(3))"
            )
        if "clock" in self.world:
            options += [
                "(select range as k, day(current_date + range::integer) as v from range(3))",
                "(select 7 as k, epoch('{{ run_started_at }}'::timestamptz) / 1e9 as v)",
                "(select k, v + minute(now()) as v from raw.facts)",
            ]
        if "named" in self.world:
            options.append("(select k, v from read_csv('data/of_{{ var('s') }}.csv'))")
        if "package" in self.world:
            options.append("{{ ref('packed') }}")
        if "rules" in self.world:
            options.append("{{ ref('ruled') }}")
        if "microbatch" in self.world:
            options.append("(select k, v from {{ ref('batched') }})")
        if "python" in self.world:
            options.append("{{ ref('by_python') }}")
        if "sequence" in self.world:
            options.append("(select nextval('raw.numbers') as k, 1.5 as v from range(2))")
        if "settings" in self.world:
            options.append("(select range as k, (range + 5) / 2 as v from range(4))")
        if "draw" in self.world:
            options += [
                "(select range as k, random() as v from range(20))",
                "(select k, v from raw.facts using sample 5)",
                "(select range as k, ascii(uuid()::varchar) as v from range(3))",
            ]
        return self.pick(options) if options else None

    def body(self, number: int) -> str:
        """Return a query with columns k and v."""
        one, other = self.source(), self.source()
        grouped = f"(select k, sum(v) as v from {other} group by k)"
        options = [
            f"select k, {self.value()} as v from {one}",
            f"select k, {self.value()} as v from {one} where k <> {self.number(0, 4)}",
            f"select k, v from {one} where k in ({{{{ [1, 3, var('n')] | join(', ') }}}})",
            f"select k, v from {one} union all select k + 20, {self.value()} from {other}",
            f"select a.k, a.v + coalesce(b.v, 0) * {self.literal()} as v"
            f" from {one} as a left join {grouped} as b on a.k = b.k",
            f"select * from (select k % 4 as k, sum({self.value()}) as v from {one} group by 1"
            " order by 1)",
            f"select row_number() over (order by k, v) as k, {self.value()} as v from {one}",
            f"with c as (select k, v as c_{{{{ var('s') }}}} from {one})"
            " select k, c_{{ var('s') }} as v from c",
            # A CTE with the name of another relation.
            f"with m{max(0, number - 2)} as (select k, {self.value()} as v from {one})"
            f" select * from m{max(0, number - 2)}",
            f"from {one} select k, avg(v) over (order by k rows 2 preceding) as v",
        ]
        if self.watched and len(self.nodes) > 1 and self.chance(30):
            a, b = self.pick(self.nodes).jinja, self.pick(self.nodes).jinja
            condition = {
                "n": "var('n') > 1",
                "s": "var('s') == 'aa'",
                "b": "var('b')",
                "f1": "var('f1') > 0.75",
            }[self.pick(self.watched)]
            return f"select k, v from {{% if {condition} %}}{a}{{% else %}}{b}{{% endif %}}"
        if self.chance(6):
            return (
                "{% set rows = run_query('select count(*) from raw.facts') %}select k, v + "
                f"{{{{ rows.columns[0].values()[0] if execute else 0 }}}} as v from {one}"
            )
        return self.pick(options)

    def model(self, number: int, count: int) -> None:
        """Make a model."""
        kind = self.pick(["table", "table", "view", "view", "ephemeral"] + ["incremental"] * 3)
        if "external" in self.world and self.chance(25):
            kind = "external"
        configs: list[str] = []
        body = self.body(number)
        has_condition = "b" in self.watched and kind in ("table", "view") and self.chance(15)
        if has_condition:
            configs.append("materialized=('table' if var('b') else 'view')")
        else:
            configs.append(f"materialized='{kind}'")
        if kind == "external":
            configs.append(f"location='made_{number}.{self.pick(['parquet', 'csv'])}'")
        elif kind == "incremental":
            body = self.incremental(body, configs)
        elif kind == "table" and not has_condition and self.chance(25):
            body += FORMER
        elif kind != "ephemeral" and self.chance(15) and number + 1 < count:
            # The state that a later model had at the end of the last year.
            later = f"m{self.number(number + 1, count - 1)}"
            body += (
                "{% set last = adapter.get_relation(this.database, target.schema, "
                f"'{later}') %}}{{% if last is not none and var('turn') > 1 %}}"
                " union all select k + 70, v from {{ last }} where k < 70{% endif %}"
            )
        name, alias, schema = f"m{number}", f"m{number}", self.schema
        depends = False
        if kind != "ephemeral" and self.chance(20) and self.aliases:
            alias = self.pick(self.aliases)
            self.aliases.remove(alias)
            configs.append(f"alias='{alias}'")
        elif kind != "ephemeral" and "s" in self.watched and self.chance(15):
            configs.append(f"alias='{name}_' ~ var('s')")
            depends = True
        if kind != "ephemeral" and self.chance(15):
            side = self.pick(["side", "Odd Side"])
            configs.append(f"schema='{side}'")
            schema = f"{schema}_{side}"
        relation = f'"{schema}"."{alias}"'
        if kind in ("table", "incremental") and not has_condition:
            body = self.hooks(number, kind, body, configs)
        if kind not in ("ephemeral", "external") and not depends and self.chance(15):
            self.leave_behind(schema, relation)
        self.models[f"{name}.sql"] = f"{{{{ config({', '.join(configs)}) }}}}\n{body}\n"
        known = None if kind == "ephemeral" or depends else relation
        is_table = kind in ("table", "incremental") and not has_condition
        self.nodes.append(_Node(f"{{{{ ref('{name}') }}}}", known, is_table))

    def incremental(self, body: str, configs: list[str]) -> str:
        """Make a model incremental and return its body."""
        strategy = self.pick(["append", "delete+insert", "merge"])
        configs.append(f"incremental_strategy='{strategy}'")
        if strategy != "append":
            configs.append("unique_key='k'")
            body = f"select k, sum(v) as v from ({body}) as one group by k"
        if "typed" in self.world and self.chance(60):
            body = f"select k, {self.pick(TYPED)} as v from ({body}) as typed group by k"
            configs.append(f"on_schema_change='{self.pick(['sync_all_columns', 'fail'])}'")
        elif self.chance(30):
            options = ["ignore", "append_new_columns", "sync_all_columns"]
            configs.append(f"on_schema_change='{self.pick(options)}'")
        if self.chance(10):
            configs.append("full_refresh=true")
        where = self.pick(
            [
                "where k >= (select min(k) from {{ this }})",
                "where k < {{ var('turn') }} * 4",
                "where k <> {{ var('n') }}",
                "where k > (select coalesce(max(k), 0) from {{ this }}) - 3",
            ]
        )
        condition = "{% if is_incremental() %}"
        return f"select k, v from ({body}) as two {condition} {where} {{% endif %}}"

    def leave_behind(self, schema: str, relation: str) -> None:
        """Let the baseline hold what an earlier run made under a model's name."""
        self.setup.append(f'create schema if not exists "{schema}"')
        what = self.pick(["table", "table", "view"])
        rows = "select range::bigint as k, (range * 0.9)::double as v from range(3)"
        self.setup.append(f"create {what} {relation} as {rows}")

    # --- hooks ------------------------------------------------------------------------

    def hooks(self, number: int, kind: str, body: str, configs: list[str]) -> str:
        """Give a table hooks now and then; return its body."""
        pre, post = [], []
        schema = "{{ target.schema }}"
        if self.chance(20):
            kept = self.pick(["temp table", f"table {schema}.", "temp view"])
            name = f"aside{number}" if kept.startswith("temp") else f"{kept[6:]}aside{number}"
            what = kept.split(" {")[0]
            factor = self.literal()
            pre.append(
                f"create or replace {what} {name} as select k, v * {factor} as v from raw.facts"
            )
            joined = body if "this" in body else f"({body})"
            body = f"{joined} union all select k + 90, v from {name}"
        if kind == "incremental" and self.chance(20):
            pre.append("{% if is_incremental() %}delete from {{ this }} where k % 3 = 1{% endif %}")
        if self.chance(30):
            options = [
                f"update {{{{ this }}}} set v = v * ({self.literal()}) where k % 2 = 0",
                "delete from {{ this }} where k = {{ var('n') }}",
                f"insert into {{{{ this }}}} (k, v) select 80, {self.literal()}",
                f"insert into {schema}.log select {number}, sum(v) from {{{{ this }}}}",
                f"create or replace table {schema}.copied{number} as from {{{{ this }}}}",
                f"create or replace view {schema}.copied{number} as"
                " select k, v * 2 as v from {{ this }}",
                "alter table {{ this }} alter column v type double",
                "comment on table {{ this }} is 'made'",
                "insert into {{ this }} (k, v) select k + 60, v from raw.facts"
                " where k <= {{ var('n') }}",
                "merge into {{ this }} as t using raw.facts as f on t.k = f.k"
                " when matched then update set v = t.v + f.v * {{ var('f2') }}",
            ]
            post = [self.pick(options) for _ in range(self.number(1, 2))]
        if "write" in self.world and self.chance(30):
            post.append(
                self.pick(
                    [
                        "copy (select k, v from {{ this }}) to 'leaked.csv'",
                        "copy {{ this }} to 'data/in.csv'",
                        "export database 'leaked'",
                    ]
                )
            )
        for key, sqls in (("pre_hook", pre), ("post_hook", post)):
            if sqls:
                configs.append(f"{key}=[{', '.join(chr(34) + sql + chr(34) for sql in sqls)}]")
        return body

    # --- around the models --------------------------------------------------------------

    def surroundings(self) -> None:
        """Make hooks of the whole run, macros, seeds and snapshots."""
        self.files["macros/made.sql"] = MACROS
        schema = "{{ target.schema }}"
        self.project["on-run-start"] = [
            f"create table if not exists {schema}.log (number integer, v double)"
        ]
        if "use" in self.world:
            self.project["on-run-start"].append(
                self.pick(["set schema = 'raw'; set schema = 'main'", "set schema = 'main'"])
            )
        if self.chance(30):
            self.project["on-run-end"] = [
                f"insert into {schema}.log values ({{{{ var('turn') }}}}, {{{{ var('f2') }}}})"
            ]
        if self.chance(20):
            self.project["on-run-start"].append(
                "create or replace macro main.twice(x) as x * 2 + {{ var('f1') }}"
            )
            self.setup.append("create macro main.twice(x) as x * 2")
            self.models["twice.sql"] = (
                "{{ config(materialized='table') }} select k, main.twice(v) as v from raw.facts"
            )
            self.nodes.append(_Node("{{ ref('twice') }}", f'"{self.schema}"."twice"', True))

    def worlds(self) -> None:
        """Choose a world, and make what the project has of it."""
        kinds = [one for one in WORLD if self.chance(22)]
        self.world = tuple(kinds)
        if "attach" in kinds:
            self.profile["attach"] = [{"path": "other.duckdb", "alias": "other"}]
        if "settings" in kinds:
            self.profile["settings"] = self.pick(
                [{"integer_division": True}, {"default_null_order": "nulls_first"}]
            )
        if "file" in kinds or "write" in kinds:
            self.files["data/in.csv"] = "k,v\n1,0.5\n2,1.25\n"
            self.files["data/part_1.csv"] = "k,v\n3,0.75\n"
        if "draw" in kinds and self.chance(60):
            self.seed = self.number(0, 99)
        if "named" in kinds:
            self.files["data/of_aa.csv"] = "k,v\n5,0.5\n"
            self.files["data/of_bbb.csv"] = "k,v\n6,1.5\n"
        if "sequence" in kinds:
            self.setup.append("create sequence raw.numbers start 100")
        self.further(kinds)

    def further(self, kinds: Sequence[str]) -> None:
        """Make the models and hooks that belong to kinds of a world."""
        if "package" in kinds:
            self.files["packages.yml"] = "packages: [{local: pack}]\n"
            for folder in ("pack", "dbt_packages/pack"):  # as `dbt deps` leaves it
                self.files[f"{folder}/dbt_project.yml"] = "name: pack\nversion: '1.0'\n"
                self.files[f"{folder}/models/packed.sql"] = (
                    "{{ config(materialized='table') }}"
                    " select k, v + {{ var('f1') }} as v from raw.facts"
                )
        if "microbatch" in kinds:
            self.models["events.sql"] = (
                "{{ config(materialized='view', event_time='happened') }}"
                " select k, v * {{ var('f2') }} as v,"
                " timestamp '2024-02-26 05:00:00' + to_days((k % 4)::integer) as happened"
                " from raw.facts"
            )
            lookback = self.number(0, 2)
            self.models["batched.sql"] = (
                "{{ config(materialized='incremental', incremental_strategy='microbatch',"
                " event_time='happened', batch_size='day', begin='2024-02-26',"
                f" lookback={lookback}) }}}} select k, v, happened from {{{{ ref('events') }}}}"
            )
        if "rules" in kinds:
            self.setup.append(
                "create table raw.ruled (k integer primary key, v double default 2.5 check (v < 6),"
                " w double generated always as (v * 2))"
            )
            self.models["ruled.sql"] = (
                "{{ config(materialized='table', indexes=[{'columns': ['k'], 'unique': true}],"
                " pre_hook=['insert or replace into raw.ruled (k) values ({{ var(\"turn\") }})',"
                " 'insert or replace into raw.ruled (k, v) values (7, {{ var(\"f1\") }} * 2)'])"
                " }} select k, v + w as v from raw.ruled"
            )
        if "python" in kinds:
            self.files["data/native.csv"] = "k,v\n4,2.5\n5,3.5\n"
            self.files["models/by_python.py"] = (
                "def model(dbt, session):\n    dbt.config(materialized='table')\n"
                "    from pyarrow import csv\n    return csv.read_csv('data/native.csv')\n"
            )

    def load_seed(self) -> None:
        """Make a seed that every step loads anew."""
        self.files["seeds/dishes.csv"] = "k,v\n1,0.5\n2,1.25\n3,7.125\n"
        self.nodes.append(_Node("{{ ref('dishes') }}", f'"{self.schema}"."dishes"', True))

    def snapshot(self) -> None:
        """Make a dbt snapshot of a model's rows."""
        strategy = "strategy='check', check_cols=['v']"
        deletes = self.pick(["", ", hard_deletes='invalidate'", ", hard_deletes='new_record'"])
        config = f"unique_key='k', {strategy}{deletes}, schema='kept'"
        query = f"select k, sum(v) as v from {self.source()} group by k"
        self.files["snapshots/kept.sql"] = (
            f"{{% snapshot kept %}}{{{{ config({config}) }}}} {query} {{% endsnapshot %}}\n"
        )
        self.nodes.append(_Node("{{ ref('kept') }}", '"main_kept"."kept"', True))

    # --- the scenario -------------------------------------------------------------------

    def steps(self, command: Any) -> list[ExpandedStep]:
        """Make the steps: the years, with SQL between them now and then."""
        years = 2 if self.is_small else self.pick([1, 2, 2, 3])
        made: list[ExpandedStep] = []
        for year in range(1, years + 1):
            select = ()
            if year > 1 and self.chance(20):
                select = tuple(f"m{self.number(0, len(self.models) - 1)}+" for _ in range(2))
                select = tuple(one for one in select if f"{one[:-1]}.sql" in self.models)
            loop = ("turn", year)
            made.append(
                ExpandedStep(
                    f"steps[0] turn={year}",
                    0,
                    "dbt",
                    command=command,
                    select=select,
                    vars={"turn": year},
                    full_refresh=self.chance(8),
                    loop=loop,
                    is_last_of_loop=year == years,
                )
            )
        if self.chance(30):
            known = [one.relation for one in self.nodes if one.relation and one.is_table]
            table = self.pick([*known, "raw.facts"])
            options = [
                f"update {table} set v = v + {{{{ var('f1') }}}} where k % 2 = 1",
                f"create or replace table between_years as select k, v from {table}",
                "insert into raw.facts values (30, {{ var('f2') }})",
                f"create or replace temp table gone as from {table}; delete from {table}"
                " where k = 2",
            ]
            sql = self.pick(options)
            made.append(ExpandedStep("steps[1]", 1, "sql", sql=sql))
            if self.chance(50):
                last = ExpandedStep("steps[2]", 2, "dbt", command=command, vars={"turn": 9})
                made.append(last)
        return made

    def metrics(self, steps: Sequence[ExpandedStep]) -> dict[str, PlannedMetric]:
        """Make metrics on some of the relations, a few of them read after each year."""
        known = sorted({one.relation for one in self.nodes if one.relation})
        chosen = [one for one in known if self.chance(60)] or known[-1:]
        made: dict[str, PlannedMetric] = {}
        for number, relation in enumerate(chosen):
            sql = f"select coalesce(sum(v * (k + 1)), 0) + count(*) from {relation}"
            if self.chance(25):
                # The order of the rows counts as well.
                sql = f"select coalesce(sum(v * r), 0) from (select v, row_number() over () as r from {relation})"  # noqa: E501
            name = f"metric{number}"
            is_each = self.chance(15) and not any(step.select for step in steps)
            made[name] = PlannedMetric(
                name, sql, step=0 if is_each else None, combine="sum" if is_each else None
            )
        log = f"select coalesce(sum(v * number), 0) + count(*) from {self.schema}.log"
        made["log"] = PlannedMetric("log", log)
        if any(step.sql and "between_years" in step.sql for step in steps):
            made["between"] = PlannedMetric(
                "between", "select coalesce(sum(v), 0) from between_years"
            )
        return made

    def candidate(self, *, is_near: bool) -> dict[str, Any]:
        """Return values of all parameters; near ones keep what Jinja looks at."""
        numbers = st.one_of(
            st.sampled_from([0.0, 1.0, 1e-05, 0.1]),
            st.sampled_from([0.25, 0.0312345678, 0.5712345678]),
            st.floats(0, 1, allow_nan=False, allow_subnormal=False, width=64),
        )
        drawn = {
            "f1": self.draw(numbers) * self.pick([1, -2, 2]),
            "f2": self.draw(numbers),
            "n": self.number(1, 3),
            "s": self.pick(["aa", "bbb"]),
            "b": self.chance(50),
            "tip": self.draw(numbers),
        }
        if is_near:
            drawn |= {name: PARAMETERS[name]["current"] for name in self.watched}
        return drawn

    def make(self) -> MadeProject:
        """Draw a whole project."""
        self.schema = self.pick(["main", "main", "mart"])
        if self.schema != "main":
            self.setup.append(f"create schema if not exists {self.schema}")
        watched = [(), (), ("s",), ("b",), ("n",)] * 4 + [("s", "b"), ("f1",)]
        self.watched = self.pick([(), ("b",)] if self.is_small else watched)
        if not self.is_small:
            self.worlds()
        self.surroundings()
        is_built = self.chance(35)
        if is_built and self.chance(60):
            self.load_seed()
        count = 5 if self.is_small else self.number(3, 8)
        for number in range(count):
            self.model(number, count)
        if is_built and self.schema == "main" and self.chance(70):
            self.snapshot()
        steps = self.steps("build" if is_built else "run")
        return MadeProject(
            models=self.models,
            files=self.files,
            metrics=self.metrics(steps),
            setup=tuple(self.setup),
            project=self.project,
            steps=tuple(steps),
            schema=self.schema,
            candidates=(
                (self.candidate(is_near=True),)
                if self.is_small
                else (self.candidate(is_near=True), self.candidate(is_near=False))
            ),
            world=self.world,
            profile=self.profile,
            seed=self.seed,
        )


@st.composite
def made_projects(draw: Any, *, is_small: bool = False) -> MadeProject:
    """Return projects that dbt can run, nearly always.

    Args:
        draw: Draws from a strategy.
        is_small: Whether they have few models, two years and one candidate.
    """
    return _Maker(draw, is_small).make()
