"""One service's schema in a PostgreSQL database: a pool of connections, migrations, and a span for each statement.

A database that restarts is found again, however long it was gone: the pool drops broken connections, and tries to
connect for as long as a call waits. A call that waits in vain fails with StoreUnavailableError, which a client may
repeat. Belongs to one event loop, or to the threads of the synchronous API.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, LiteralString, Self, cast

import psycopg
from opentelemetry.trace import NoOpTracer, Span, SpanKind, Status, StatusCode, Tracer
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from services.errors import StoreUnavailableError
from services.options import ApiName
from services.stores.ports import StoreOpeningError
from services.stores.postgres_threads import ThreadConnection, ThreadPool

SCRIPTS: Final = Path(__file__).with_name("sql")
MOST_CONNECTIONS: Final = 10
WAIT_S: Final = 2.0  # for a free connection: shorter than a client's deadline, so that it hears UNAVAILABLE
OPEN_WAIT_S: Final = 10.0
# A pool left to itself waits twice as long before each attempt, and is as long in coming back as the outage was.
RECONNECT_S: Final = 0.25
DEFAULT_PORT: Final = 5432
SHORTEST_SECRET_CHARS: Final = 3

Connection = psycopg.AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement and its low-cardinality summary, `INSERT users`, which names its span."""

    summary: str
    text: LiteralString

    @property
    def operation(self) -> str:
        """The first word of the summary."""
        return self.summary.partition(" ")[0]

    @property
    def table(self) -> str:
        """The table that the statement is about."""
        return self.summary.rpartition(" ")[2]


class PostgresDatabase:
    """The pool of one service. Statements see its schema alone, by `search_path`."""

    def __init__(self, url: str, schema: str, tracer: Tracer | None = None, api: ApiName = "aio") -> None:
        self._api = api
        self._pool = _pool(url, schema, api)
        self._url = url
        self._schema = schema
        self._tracer = tracer or NoOpTracer()
        self._attributes = _attributes_of(url, schema)

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, url: str, schema: str, scripts: Sequence[Path], tracer: Tracer | None = None, api: ApiName = "aio"
    ) -> AsyncIterator[Self]:
        """Connect, bring the schema up to date by the scripts that it has not seen yet, and close at the end.

        Raises StoreOpeningError where no database answers, or a newer version of the service migrated it.
        """
        try:
            database = cls(url, schema, tracer, api)
            await database._migrate(scripts)
            await database._pool.open(wait=True, timeout=OPEN_WAIT_S)
        except (psycopg.Error, PoolTimeout, ValueError) as error:  # the last of a port that is no number
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise StoreOpeningError(f"the database can't be used: {_without_secret(reason, url)}") from error
        try:
            yield database
        finally:
            await database._pool.close()

    async def _migrate(self, scripts: Sequence[Path]) -> None:
        """Run in one transaction, and alone: replicas that start at once wait for each other."""
        kind = (
            cast("type[psycopg.AsyncConnection]", ThreadConnection) if self._api == "sync" else psycopg.AsyncConnection
        )
        connection = await kind.connect(self._url, connect_timeout=int(OPEN_WAIT_S))
        async with connection, connection.transaction():
            name = sql.Identifier(self._schema)
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [self._schema])
            await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
            await connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(name))
            await connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL)")
            seen = await (await connection.execute("SELECT coalesce(max(version), 0) FROM schema_version")).fetchone()
            version = int(seen[0]) if seen else 0
            if version > len(scripts):
                raise StoreOpeningError(
                    f"schema {self._schema} has version {version}, and this service knows {len(scripts)}"
                )
            for number, script in enumerate(scripts[version:], start=version + 1):
                await connection.execute(script.read_bytes())
                await connection.execute("INSERT INTO schema_version VALUES (%s)", [number])

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Run statements as one step. Raises StoreUnavailableError; whether a commit that broke was made is unknown."""
        with _unavailable_as_such():
            async with self._pool.connection() as connection:
                yield Transaction(connection, self._tracer, self._attributes)

    async def rows(self, statement: Statement, parameters: Sequence[Any]) -> list[DictRow]:
        """Run one statement by itself, and give its rows."""
        async with self.transaction() as step:
            return await step.rows(statement, parameters)


def _pool(url: str, schema: str, api: ApiName) -> AsyncConnectionPool[Connection]:
    """Make a pool that is not open yet: psycopg's own of asyncio, or its blocking one behind the same face."""
    options: dict[str, Any] = {
        "min_size": 1,
        "max_size": MOST_CONNECTIONS,
        "timeout": WAIT_S,
        "reconnect_timeout": RECONNECT_S,
        "open": False,
        "kwargs": {
            "row_factory": dict_row,
            # Every connection is told its schema by the server's own option, so that no statement has to.
            "options": f"-c search_path={schema}",
            "application_name": schema,
            # A host that is cut off says nothing: without these it is a matter of many minutes to find out.
            "connect_timeout": int(WAIT_S),
            "tcp_user_timeout": int(WAIT_S * 1_000),
            "client_encoding": "utf8",  # in a database of SQL_ASCII psycopg would give bytes for text
        },
        "name": schema,
    }
    if api == "sync":
        return cast("AsyncConnectionPool[Connection]", ThreadPool(url, **options))
    return AsyncConnectionPool(
        url, check=AsyncConnectionPool.check_connection, reconnect_failed=_connect_for_who_waits, **options
    )


async def _connect_for_who_waits(pool: AsyncConnectionPool[Any]) -> None:
    """Begin anew, at once, if a call waits; else the next call does, so that an idle service leaves an outage alone."""
    if pool.get_stats()["requests_waiting"]:
        await pool.check()  # makes a connection where there is none


class Transaction:
    """The statements of one step, each a CLIENT span. Source: semantic conventions for database calls, 1.33."""

    def __init__(self, connection: Connection, tracer: Tracer, attributes: dict[str, str | int]) -> None:
        self._connection = connection
        self._tracer = tracer
        self._attributes = attributes

    async def undo(self) -> None:
        """Take back what the step did so far; what it does after that is a step of its own."""
        await self._connection.rollback()

    async def rows(self, statement: Statement, parameters: Sequence[Any]) -> list[DictRow]:
        """Run one statement, and give its rows."""
        attributes = {
            **self._attributes,
            "db.operation.name": statement.operation,
            "db.collection.name": statement.table,
            "db.query.summary": statement.summary,
            "db.query.text": statement.text,
        }
        with (
            self._tracer.start_as_current_span(
                statement.summary, kind=SpanKind.CLIENT, attributes=attributes, record_exception=False
            ) as span,
            _failure_noted(span),
        ):
            cursor = await self._connection.execute(statement.text, parameters)
            return await cursor.fetchall() if cursor.description else []


@contextmanager
def _failure_noted(span: Span) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        state = error.sqlstate or type(error).__name__
        span.set_attribute("error.type", state)
        if error.sqlstate:
            span.set_attribute("db.response.status_code", error.sqlstate)
        span.set_status(Status(StatusCode.ERROR, state))  # never the message: it may quote what was stored
        raise


@contextmanager
def _unavailable_as_such() -> Iterator[None]:
    try:
        yield
    except (psycopg.OperationalError, PoolTimeout) as error:
        raise StoreUnavailableError() from error


def _without_secret(reason: str, url: str) -> str:
    """The reason, or, where it quotes a piece of the password, what such a password needs.

    A password with a letter that means something in a URL is read as host, port or escape, and quoted as such.
    """
    after_scheme = url.partition("://")[2]
    password = after_scheme.rpartition("@")[0].partition(":")[2] + " " + after_scheme.partition("password=")[2]
    pieces = [piece for piece in re.split(r"[^\w]+", password) if len(piece) >= SHORTEST_SECRET_CHARS]
    if any(piece in reason for piece in pieces):
        return (
            "its URL cannot be read; letters of the password such as / @ % # belong percent-encoded, or in PGPASSFILE"
        )
    return reason


def _attributes_of(url: str, schema: str) -> dict[str, str | int]:
    parts = conninfo_to_dict(url)
    attributes: dict[str, str | int] = {
        "db.system.name": "postgresql",
        "db.namespace": f"{parts.get('dbname') or parts.get('user') or ''}|{schema}",
        "server.address": str(parts.get("host") or "localhost"),
    }
    port = int(parts.get("port") or DEFAULT_PORT)
    return attributes if port == DEFAULT_PORT else {**attributes, "server.port": port}
