"""What we use of dbt-core's and dbt-duckdb's insides; ``docs/vendors.md`` is the ledger."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any


def attachment_sql(attachment: Mapping[str, Any]) -> str:
    """Return dbt-duckdb's statement for a database that a profile attaches."""
    from dbt.adapters.duckdb.credentials import Attachment

    return str(Attachment.from_dict(copy.deepcopy(dict(attachment))).to_sql())


def configure_connection(connection: Any, output: Mapping[str, Any]) -> None:
    """Make secrets, file systems and plugins of a profile work on a connection, as dbt does.

    The order is that of dbt-duckdb's ``Environment.initialize_db``, which opens the connection
    itself and so cannot be used for one that is open.
    """
    from dbt.adapters.duckdb.credentials import DuckDBCredentials
    from dbt.adapters.duckdb.environments import Environment

    plain = copy.deepcopy(dict(output))
    plain.pop("threads", None)
    plain.pop("type", None)
    credentials = DuckDBCredentials.from_dict({"path": ":memory:", "schema": "main"} | plain)
    for sql in credentials.secrets_sql():
        connection.execute(sql)
    if credentials.filesystems:
        import fsspec

        for spec in credentials.filesystems:
            named = dict(spec)
            connection.register_filesystem(fsspec.filesystem(named.pop("fs"), **named))
    for plugin in Environment.initialize_plugins(credentials).values():
        untyped: Any = plugin
        untyped.configure_connection(connection)
        untyped.configure_cursor(connection)
