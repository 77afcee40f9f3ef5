"""psycopg's blocking pool with the face of its asyncio one: what is awaited of it blocks the thread."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.rows import DictRow
from psycopg_pool import ConnectionPool


class ThreadPool:
    """A pool of connections, as far as `PostgresDatabase` uses one; safe in any thread."""

    def __init__(self, url: str, **options: Any) -> None:
        self._pool: ConnectionPool[psycopg.Connection[DictRow]] = ConnectionPool(
            url, check=ConnectionPool.check_connection, reconnect_failed=_connect_for_who_waits, **options
        )

    async def open(self, *, wait: bool, timeout: float) -> None:
        """Connect."""
        self._pool.open(wait=wait, timeout=timeout)

    async def close(self) -> None:
        """Close every connection."""
        self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[ThreadConnection]:
        """Lend a connection; what was done with it is committed at the end, or taken back after an exception."""
        with self._pool.connection() as connection:
            yield ThreadConnection(connection)


def _connect_for_who_waits(pool: ConnectionPool[Any]) -> None:
    """As the function of that name in `postgres_database`."""
    if pool.get_stats()["requests_waiting"]:
        pool.check()


class ThreadConnection:
    """A connection, as far as a transaction uses one."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    @classmethod
    async def connect(cls, url: str, *, connect_timeout: int) -> Self:
        """Open a connection that is closed at the end of an `async with`."""
        return cls(psycopg.connect(url, connect_timeout=connect_timeout))

    async def execute(self, query: Any, parameters: Any = None) -> ThreadCursor:
        """Run a statement."""
        return ThreadCursor(self._connection.execute(query, parameters))

    async def rollback(self) -> None:
        """Take back what was not committed."""
        self._connection.rollback()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Make one step of the block."""
        with self._connection.transaction():
            yield

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        self._connection.__exit__(kind, error, trace_back)


class ThreadCursor:
    """The rows of a statement."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self._cursor = cursor
        self.description = cursor.description

    async def fetchall(self) -> list[Any]:
        """Give all rows."""
        return self._cursor.fetchall()

    async def fetchone(self) -> Any:
        """Give the next row, or None."""
        return self._cursor.fetchone()
