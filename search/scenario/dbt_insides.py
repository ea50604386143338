"""What we use of dbt-core's and dbt-duckdb's insides; ``docs/vendors.md`` is the ledger."""

from __future__ import annotations

import copy
import gc
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from search.errors import OUTSIDE, ScenarioError
from search.scenario.clock import BATCHES, ClockRead
from search.scenario.duck_limits import asked_resources, strip_resource_settings
from search.scenario.file_names import who_is
from search.scenario.held_clock import MAKES_FUNCTIONS, has_own_clock, held_datetime, hold_clock
from search.scenario.own_files import OwnFiles
from search.scenario.plan import StatementObserver
from search.scenario.python_reads import run_noticing_all
from search.scenario.read_log import ReadLog
from search.scenario.seeds import Seeder
from search.scenario.writes import REFUSAL, outside_writes
from search.scenario.written_files import Written

_QUERIES = ("sql", "query", "from_query")
"""What a Python model may call on its connection beside ``execute``."""
_ABSENT = object()


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


_Kept = dict[tuple[type, str], Any]

_VALID: _Kept = {}
"""Documents that dbt found to fit their JSON schema, as Python writes them, by their class."""
_CODE: _Kept = {}
"""Jinja templates as Python code, by the kind of environment and their text."""
_MAX_KEPT = 20_000
"""Documents, and templates, that a process keeps before it starts anew."""


def _once(kept: _Kept, key: tuple[type, str], make: Callable[[], Any]) -> Any:
    """Return what is kept under a key, made now where it is not; nothing is kept of a failure."""
    if key not in kept:
        made = make()
        if len(kept) >= _MAX_KEPT:
            kept.clear()
        kept[key] = made
    return kept[key]


COLLECT_AFTER = (5_000, 10, 5)
"""Thresholds of Python's garbage collector while dbt is at work."""


@contextmanager
def rare_collections() -> Iterator[None]:
    """Let Python look for garbage less often, and not again at what dbt keeps for good.

    dbt makes millions of objects that live as long as its modules or its manifest. Looking through
    them took a fifth of its processor time, 1.5 of 7.7 s for six steps of the flagship in a warm
    process; 0.5 s is left, for 7 MB more.
    """
    before = gc.get_threshold()
    gc.set_threshold(*COLLECT_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if not gc.get_freeze_count():
            gc.freeze()  # looking through all of it first took 0.2 to 0.4 s, for no megabyte


class Sender:
    """Stands between dbt and DuckDB: knows which node sends a statement, and tells an observer.

    dbt announces each statement by an event that knows the node, and dbt-duckdb then hands
    the text and its bound values to a cursor; both happen in the same thread.

    Args:
        observer: Takes each statement that is part of what the scenario computes.
        reads: Takes what statements may read.
        files: Leads what statements write elsewhere.
        seeder: Puts a seed before each statement that may draw; None where nothing is seeded.

    Attributes:
        may_make_functions: Whether a statement so far may have made a function of the project's.
    """

    def __init__(
        self,
        observer: StatementObserver | None,
        reads: ReadLog,
        files: OwnFiles,
        seeder: Seeder | None = None,
    ) -> None:
        self._observer = observer
        self._reads = reads
        self._files = files
        self._seeder = seeder
        self._sender = threading.local()
        self.may_make_functions = False
        files.written.on_reading = self._tell_of_write

    def on_event(self, event: Any) -> None:
        """Remember which node announces a statement."""
        if event.info.name == "SQLQuery":
            self._sender.node = event.data.node_info.unique_id or None
            self._sender.invocation = event.info.invocation_id

    def send(self, cursor: Any, sql: str, bindings: Any, execute: Callable[..., Any]) -> Any:
        """Run what dbt sends, within the walls, and tell the observer.

        Args:
            cursor: dbt-duckdb's cursor.
            sql: One or more statements.
            bindings: Values that travel apart from the text.
            execute: Runs text and values on the cursor.
        """
        allowed = strip_resource_settings(sql) or "select 1"
        node = getattr(self._sender, "node", None)
        self._reads.saw_statement(allowed, node or "dbt")
        for name in asked_resources(allowed):
            self._files.notes[
                f"{who_is(node)} asks for DuckDB's setting {name}, which is the search's to "
                "decide: what follows from it is not what dbt gives by hand"
            ] = None
        self.may_make_functions |= MAKES_FUNCTIONS.search(allowed) is not None
        if self._observer is not None and (told := self._files.observed(allowed, node)):
            self._observer(told, bindings, node, getattr(self._sender, "invocation", None))
        if self._seeder is not None:
            allowed = self._seeder.seeded(allowed, node)
        if bindings is not None:
            return execute(cursor, allowed, bindings)
        raw = getattr(cursor, "_cursor", cursor)
        return self._files.run(allowed, node, raw, lambda text: execute(cursor, text, None))

    def saw_batches(self, node: str) -> None:
        """Notice that a model's batches end today."""
        self._reads.clock.add(ClockRead(BATCHES, node))

    def noticing(self, method: Any) -> Any:
        """Return a method of dbt-duckdb's that runs code of the project, and notice its files."""

        def call(*args: Any, **named: Any) -> Any:
            node = getattr(self._sender, "node", None)
            invocation = getattr(self._sender, "invocation", None)

            def work() -> Any:
                self._sender.node, self._sender.invocation = node, invocation
                return method(*args, **named)

            return run_noticing_all(work, self._reads, who_is(node))

        return call

    def _tell_of_write(self, written: Written) -> None:
        """Tell of a written file late: only now is it part of what is computed."""
        if self._observer is not None:
            self._observer(written.statement, None, written.node, None)


@contextmanager
def process_state(
    sender: Sender, temporary: Path, moment: datetime | None = None
) -> Iterator[None]:
    """Keep dbt's traces in this process to the time of one invocation.

    dbt changes the working directory, and dbt-duckdb keeps the database open (and so
    its lock) after an invocation ends. Resource settings in the project's hooks are
    dropped on their way to DuckDB, in dbt-duckdb's cursor: a hook runs as SQL of the
    project and has no other seam.

    dbt chooses the next node while the one before is still running or when it has ended, as
    its two threads happen to run. Here it always waits for the end: two recordings of a
    scenario then have their nodes in one order. (``--single-threaded`` would do the same, but
    closes the connection that a project's hooks use.)

    Args:
        sender: Stands between dbt and DuckDB.
        temporary: Where models in Python may keep a file for a moment.
        moment: What the time is for SQL and for Jinja; the real time when None.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.adapters.duckdb.environments import Environment
    from dbt.adapters.duckdb.environments.local import DuckDBCursorWrapper, LocalEnvironment
    from dbt.graph.queue import GraphQueue
    from dbt.graph.thread_pool import DbtThreadPool

    folder, temporary_folder = os.getcwd(), tempfile.tempdir
    dbts_thread = threading.current_thread()
    execute: Any = DuckDBCursorWrapper.execute
    submit: Any = DbtThreadPool.apply_async
    wait: Any = GraphQueue.wait_until_something_was_done
    python_job: Any = vars(Environment)["run_python_job"]

    def guarded(self: Any, sql: str, bindings: Any = None) -> Any:
        return sender.send(self, sql, bindings, execute)

    def one_after_the_other(self: Any, *args: Any, **options: Any) -> Any:
        submitted = submit(self, *args, **options)
        if threading.current_thread() is dbts_thread:  # and not a node with parts of its own
            submitted.wait()
        return submitted

    def unfinished(self: Any) -> int:
        # With fail_fast dbt waits for the next end of a node: here there may be none to come.
        with self.lock:
            if not self.inner.unfinished_tasks:
                return 0
        return int(wait(self))

    temporary.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(temporary)  # a model in Python may keep a file for a moment
    changes = [
        (DuckDBCursorWrapper, "execute", guarded),
        *((DuckDBCursorWrapper, name, _reading(name)) for name in _QUERIES),
        (LocalEnvironment, "store_relation", _store_nothing),
        (LocalEnvironment, "load_source", sender.noticing(vars(LocalEnvironment)["load_source"])),
        (Environment, "run_python_job", classmethod(sender.noticing(python_job.__func__))),
        (DbtThreadPool, "apply_async", one_after_the_other),
        (GraphQueue, "wait_until_something_was_done", unfinished),
        *_memory_changes(),
        *([] if moment is None else _clock_changes(moment, sender)),
    ]
    manager: Any = DuckDBConnectionManager
    try:
        with _changed(changes):
            yield
    finally:
        if manager._ENV is not None:
            manager._ENV.close()
        manager.close_all_connections()
        tempfile.tempdir = temporary_folder
        os.chdir(folder)


def _memory_changes() -> Iterator[tuple[Any, str, Any]]:
    """Yield what lets a process do once what depends on a text alone.

    More than half of what a step costs in dbt is to parse and compile the Jinja of the same 700
    macros again, and to hold the same documents against their JSON schemas. The syntax trees are
    kept by the switch that dbt's own tests use; the code of templates, and the documents that fit,
    are remembered here.
    """
    from dbt_common.clients.jinja import MacroFuzzEnvironment
    from dbt_common.dataclass_schema import dbtClassMixin
    from dbt_common.tests import enable_test_caching

    validate: Any = vars(dbtClassMixin)["validate"]
    compiled: Any = MacroFuzzEnvironment.compile

    def validate_once(cls: Any, mapping: Any) -> None:
        _once(_VALID, (cls, repr(mapping)), lambda: validate.__func__(cls, mapping))

    def compile_once(self: Any, source: Any, *args: Any, **options: Any) -> Any:
        # All environments of dbt's class are alike but for what they make of undefined names.
        if not isinstance(source, str) or args or options:
            return compiled(self, source, *args, **options)
        return _once(_CODE, (type(self), source), lambda: compiled(self, source))

    enable_test_caching()
    yield dbtClassMixin, "validate", classmethod(validate_once)
    yield MacroFuzzEnvironment, "compile", compile_once


def _clock_changes(moment: datetime, sender: Sender) -> Iterator[tuple[Any, str, Any]]:
    """Yield what lets time stand still in dbt: on its cursors, in Jinja, for the last batch."""
    from dbt.adapters.duckdb.environments import Environment
    from dbt.context import base
    from dbt.materializations.incremental.microbatch import MicrobatchBuilder

    from dbt import tracking

    cursor_of: Any = vars(Environment)["initialize_cursor"].__func__
    make_user: Any = tracking.User.__init__
    make_batches: Any = MicrobatchBuilder.__init__
    modules: Any = base.get_datetime_module_context

    is_own: bool | None = None

    def held_cursor(cls: Any, *args: Any, **named: Any) -> Any:
        nonlocal is_own
        cursor = cursor_of(cls, *args, **named)
        if is_own is None or sender.may_make_functions:  # perhaps seen only when it is committed
            is_own = has_own_clock(cursor)
        if not is_own:
            hold_clock(cursor, moment)
        return cursor

    def held_user(self: Any, *args: Any, **named: Any) -> None:
        make_user(self, *args, **named)
        self.run_started_at = moment

    def held_batches(self: Any, model: Any, *args: Any, **named: Any) -> None:
        sender.saw_batches(model.unique_id)
        make_batches(self, model, *args, **(named | {"default_end_time": moment}))

    yield Environment, "initialize_cursor", classmethod(held_cursor)
    yield MicrobatchBuilder, "__init__", held_batches
    yield tracking.User, "__init__", held_user
    yield base, "get_datetime_module_context", lambda: {**modules(), **held_datetime(moment)}


@contextmanager
def _changed(changes: Iterable[tuple[Any, str, Any]]) -> Iterator[None]:
    """Give classes other methods for a block."""
    before = [(owner, name, vars(owner).get(name, _ABSENT)) for owner, name, _ in changes]
    for owner, name, value in changes:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            if value is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, value)


def _reading(name: str) -> Any:
    """Return a method of DuckDB's cursor for Python models, which may only read by it."""

    def method(self: Any, query: str, *args: Any, **options: Any) -> Any:
        for write in outside_writes(query):
            raise ScenarioError(f"a Python model: {write.text()}, {REFUSAL}", stage=OUTSIDE)
        return getattr(self._cursor, name)(query, *args, **options)

    return method


def _store_nothing(self: Any, plugin_name: str, target: Any) -> None:
    raise ScenarioError(
        f"plugin {plugin_name} would store {target.relation} outside the database, {REFUSAL}; "
        "leave the model out of the steps",
        stage=OUTSIDE,
    )
