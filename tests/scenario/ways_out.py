"""Ways in which SQL goes out of its database, for tests: ``{o}`` is a folder outside.

``{port}`` is a port of this machine where nobody should call.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

READ = {
    "string": "'{o}/rates.csv'",
    "quoted name": '"{o}/rates.csv"',
    "brackets": "('{o}/rates.csv')",
    "read_csv": "read_csv('{o}/rates.csv')",
    "read_csv_auto": "read_csv_auto('{o}/rates.csv')",
    "quoted function": "\"read_csv\"('{o}/rates.csv')",
    "function with a schema": "main.read_csv('{o}/rates.csv')",
    "read_text": "read_text('{o}/rates.csv')",
    "read_blob": "read_blob('{o}/rates.csv')",
    "read_json": "read_json('{o}/rates.json')",
    "read_json_auto": "read_json_auto('{o}/rates.json')",
    "read_ndjson": "read_ndjson('{o}/rates.json')",
    "json string": "'{o}/rates.json'",
    "read_parquet": "read_parquet('{o}/rates.parquet')",
    "parquet_scan": "parquet_scan('{o}/rates.parquet')",
    "parquet_schema": "parquet_schema('{o}/rates.parquet')",
    "parquet_metadata": "parquet_metadata('{o}/rates.parquet')",
    "parquet string": "'{o}/rates.parquet'",
    "glob": "glob('{o}/*')",
    "sniff_csv": "sniff_csv('{o}/rates.csv')",
    "query": "query('from ''{o}/rates.csv''')",
    "query_table": "query_table(['{o}/rates.csv'])",
    "list of files": "read_csv(['{o}/rates.csv'])",
    "pattern": "'{o}/*.csv'",
    "address": "'http://127.0.0.1:{port}/rates.csv'",
    "process": "read_text('/proc/self/environ')",
    "read_duckdb": "read_duckdb('{o}/old.db', table_name = 't')",
    "json objects": "read_json_objects('{o}/rates.json')",
    "file's metadata": "parquet_file_metadata('{o}/rates.parquet')",
    "keys of a file": "parquet_kv_metadata('{o}/rates.parquet')",
    "single reader": "read_single_csv_file('{o}/rates.csv')",
    "escapes": "read_text(E'{o}/rates\\x2ecsv')",
    "dollars": "read_text($a${o}/rates.csv$a$)",
    "two parts": "read_text('{o}/'\n'rates.csv')",
    "put together": "read_text(concat('{o}', chr(47), 'rates', '.csv'))",
    "way round": "read_text('{o}/../outside/rates.csv')",
    "file address": "read_text('file://{o}/rates.csv')",
    "comment between": "read_text/* '/tmp' */--\n(/**/'{o}/rates.csv')",
    "query put together": "query('fr' || 'om ' || chr(39) || '{o}/rates.csv' || chr(39))",
    "serialized": "json_execute_serialized_sql(json_serialize_sql('from ''{o}/rates.csv'''))",
    "all text": "read_csv('{o}/rates.csv', all_varchar = true)",
    "geometry": "st_read('{o}/rates.csv')",
    "sqlite": "sqlite_scan('{o}/old.db', 't')",
    "logging function": "query('from enable_logging(storage=''file'', storage_path=''{o}/log'')')",
    "profiling function": "enable_profiling(format = 'json', save_location = '{o}/new.json')",
    "database's name": '"{o}/old.db".main.t',
}
"""What a query reads from."""

DO = {
    "copy from": "create table c (a int); copy c from '{o}/rates.csv'",
    "attach": "attach '{o}/new.db'",
    "attach to read": "attach '{o}/old.db' (read_only)",
    "import": "import database '{o}/exported'",
    "macro": "create macro m() as table from '{o}/rates.csv'; from m()",
    "prepared": "prepare p as from '{o}/rates.csv'; execute p",
    "open again": "set enable_external_access = true; from '{o}/rates.csv'",
    "reset": "reset enable_external_access; from '{o}/rates.csv'",
    "allow": "set allowed_directories = ['/']; from '{o}/rates.csv'",
    "search path": "set file_search_path = '{o}'; from 'rates.csv'",
    "copy": "copy (select 1) to '{o}/new.csv'",
    "copy parts": "copy (select 1 as a) to '{o}/new' (format parquet, partition_by (a))",
    "hidden copy": "with x as (copy (select 1) to '{o}/new.csv') select 1",
    "explained copy": "explain analyze copy (select 1) to '{o}/new.csv'",
    "prepared copy": "prepare p as copy (select 1) to '{o}/new.csv'; execute p",
    "export": "export database '{o}/new'",
    "install": "install httpfs",
    "load": "load '{o}/some.duckdb_extension'",
    "persistent secret": "create persistent secret s (type http, bearer_token 'a')",
    "log": "set log_query_path = '{o}/new.log'",
    "profile": "pragma enable_profiling; pragma profiling_output = '{o}/new.json'; from range(9)",
    "secrets' folder": "set secret_directory = '{o}'",
    "nested comment": "copy (select 1) /* /* */ from x */ to '{o}/new.csv'",
    "carriage return": "copy (select 1) -- from\r to '{o}/new.csv'",
    "table from": "create table \"from\" as select 1 as a; copy main.from to '{o}/new.csv'",
    "dollar names": "with a$b$ as (copy (select 1) to '{o}/new.csv') select 1 as c$b$",
    "no width": "copy\u200b(select 1)\u200bto '{o}/new.csv'",
    "explained in parentheses": "explain (analyze) copy (select 1) to '{o}/new.csv'",
    "alias read_only": "attach '{o}/new.db' as read_only",
    "not read_only": "attach '{o}/new.db' (read_only no)",
    "replace": "attach or replace '{o}/old.db' as o; delete from o.t",
    "quoted setting": "set \"log_query_path\" = '{o}/new.log'; select 1",
    "log called": "call enable_logging(storage = 'file', storage_path = '{o}/log')",
    "log of a macro": "create macro m() as table from enable_logging(storage_path = '{o}/log')"
    "; from m()",
    "secret in a file": "set \"secret_directory\" = '{o}/secrets'"
    "; create secret s in local_file (type http, bearer_token 'a')",
    "listed first": "select 1 from glob('{o}/*'); from '{o}/rates.csv'",
    "view": "create view v as from '{o}/rates.csv'; from v",
    "insert": "create table c (a int); insert into c from read_csv('{o}/rates.csv')",
    "all frames": "set python_scan_all_frames = true; from '{o}/rates.csv'",
    "every file system": "set disabled_filesystems = ''; from '{o}/rates.csv'",
    "copy a database": "attach '{o}/new.db' as n; copy from database memory to n",
    "extensions' folder": "set extension_directory = '{o}'; install httpfs",
}
"""What a statement does."""

QUERIES = {name: f"select count(*) from {what}" for name, what in READ.items()}
WAYS = QUERIES | DO


def fill_outside(folder: Path) -> None:
    """Put files into the folder outside that somebody might read, or change."""
    folder.mkdir()
    with duckdb.connect(str(folder / "old.db")) as connection:
        connection.execute("create table t as select 1 as a")
        for name in ("csv", "json", "parquet"):
            connection.execute(f"copy (select 3 as rate) to '{folder}/rates.{name}'")
        connection.execute(f"export database '{folder / 'exported'}'")


def everything(folder: Path) -> dict[str, bytes]:
    """Return what lies in a folder."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}
