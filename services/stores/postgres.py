"""Stores in PostgreSQL: what is written outlives the service, and several of its processes may share it.

A create takes the next position from a row that stays locked until it is committed, so positions become visible in
their order and a page never skips one that comes later. The same lock makes repeats of a request meet one by one. A
request id is forgotten once so many creates came after it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from opentelemetry.trace import Tracer
from psycopg.rows import DictRow

from services.options import ApiName
from services.stores.memory import REMEMBERED_REQUESTS, Clock, IdSource, random_ids
from services.stores.ports import (
    Created,
    OrderChanges,
    OrderDraft,
    OrderRecord,
    OrderStatus,
    OrderUpdate,
    Page,
    RequestIdReusedError,
    UserChanges,
    UserDraft,
    UserRecord,
)
from services.stores.postgres_database import SCRIPTS, PostgresDatabase, Statement, Transaction

USER_SCHEMA: Final = "tracelab_user"
ORDER_SCHEMA: Final = "tracelab_order"
USER_SCRIPTS: Final = (SCRIPTS / "users_001.sql",)
ORDER_SCRIPTS: Final = (SCRIPTS / "orders_001.sql",)

_NEXT_POSITION: Final = Statement(
    "UPDATE last_position", "UPDATE last_position SET position = position + 1 RETURNING position"
)
_LAST_POSITION: Final = Statement("SELECT last_position", "SELECT position FROM last_position")
_REQUEST: Final = Statement("SELECT requests", "SELECT * FROM requests WHERE request_id = %s")
_FORGET: Final = Statement("DELETE requests", "DELETE FROM requests WHERE position <= %s")

_INSERT_USER: Final = Statement(
    "INSERT users", "INSERT INTO users VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (user_id) DO NOTHING RETURNING *"
)
_INSERT_USER_REQUEST: Final = Statement("INSERT requests", "INSERT INTO requests VALUES (%s, %s, %s, %s, %s, %s)")
_USERS: Final = Statement("SELECT users", "SELECT * FROM users WHERE user_id = ANY(%s)")
_USER_PAGE: Final = Statement("SELECT users", "SELECT * FROM users WHERE position > %s ORDER BY position LIMIT %s")
_UPDATE_USER: Final = Statement(
    "UPDATE users",
    "UPDATE users SET name = coalesce(%s, name), email = coalesce(%s, email), update_time_unix_nano = %s "
    "WHERE user_id = %s RETURNING *",
)
_DELETE_USER: Final = Statement("DELETE users", "DELETE FROM users WHERE user_id = %s RETURNING 1")

_INSERT_ORDER: Final = Statement(
    "INSERT orders",
    "INSERT INTO orders VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (order_id) DO NOTHING RETURNING *",
)
_INSERT_ORDER_REQUEST: Final = Statement("INSERT requests", "INSERT INTO requests VALUES (%s, %s, %s, %s, %s, %s, %s)")
_ORDER: Final = Statement("SELECT orders", "SELECT * FROM orders WHERE order_id = %s")
_LOCKED_ORDER: Final = Statement("SELECT orders", "SELECT * FROM orders WHERE order_id = %s FOR UPDATE")
_ORDER_PAGE: Final = Statement("SELECT orders", "SELECT * FROM orders WHERE position > %s ORDER BY position LIMIT %s")
_ORDER_PAGE_OF_USERS: Final = Statement(
    "SELECT orders",
    "SELECT * FROM orders WHERE position > %s AND user_id = ANY(%s) ORDER BY position LIMIT %s",
)
_UPDATE_ORDER: Final = Statement(
    "UPDATE orders",
    "UPDATE orders SET status = coalesce(%s, status), note = coalesce(%s, note), update_time_unix_nano = %s "
    "WHERE order_id = %s RETURNING *",
)


class PostgresUserStore:
    """Users in a PostgreSQL schema. Belongs to the event loop of its database."""

    def __init__(
        self,
        database: PostgresDatabase,
        *,
        clock: Clock = time.time_ns,
        ids: IdSource | None = None,
        remembered_requests: int = REMEMBERED_REQUESTS,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids or random_ids("u")
        self._remembered_requests = remembered_requests

    async def create(self, draft: UserDraft, request_id: str = "") -> Created[UserRecord]:
        """Fulfil `UserStore.create`."""
        async with self._database.transaction() as step:
            position = await next_position(step)
            known = await _request(step, request_id)
            if known is not None:
                await step.undo()
                return Created(_user_of_request(known, draft), is_new=False)
            now_unix_nano = self._clock()
            fields = (position, draft.name, draft.email, now_unix_nano)
            row = await _inserted(step, _INSERT_USER, self._ids, (*fields, now_unix_nano))
            if request_id:
                await step.rows(_INSERT_USER_REQUEST, (request_id, position, row["user_id"], *fields[1:]))
                await step.rows(_FORGET, (position - self._remembered_requests,))
            return Created(UserRecord(**row), is_new=True)

    async def get(self, user_id: str) -> UserRecord | None:
        """Fulfil `UserStore.get`."""
        return (await self.get_many([user_id])).get(user_id)

    async def get_many(self, user_ids: Collection[str]) -> dict[str, UserRecord]:
        """Fulfil `UserStore.get_many`."""
        rows = await self._database.rows(_USERS, (_possible(user_ids),))
        return {row["user_id"]: UserRecord(**row) for row in rows}

    async def page(self, after_position: int, limit: int) -> Page[UserRecord]:
        """Fulfil `UserStore.page`."""
        rows = await self._database.rows(_USER_PAGE, (after_position, limit + 1))
        records = tuple(UserRecord(**row) for row in rows[:limit])
        return Page(records, records[-1].position if len(rows) > limit else None)

    async def update(self, user_id: str, changes: UserChanges) -> UserRecord | None:
        """Fulfil `UserStore.update`."""
        if not _possible([user_id]):
            return None
        rows = await self._database.rows(_UPDATE_USER, (changes.name, changes.email, self._clock(), user_id))
        return UserRecord(**rows[0]) if rows else None

    async def delete(self, user_id: str) -> bool:
        """Fulfil `UserStore.delete`."""
        return bool(_possible([user_id])) and bool(await self._database.rows(_DELETE_USER, (user_id,)))


class PostgresOrderStore:
    """Orders in a PostgreSQL schema. Belongs to the event loop of its database."""

    def __init__(
        self,
        database: PostgresDatabase,
        *,
        clock: Clock = time.time_ns,
        ids: IdSource | None = None,
        remembered_requests: int = REMEMBERED_REQUESTS,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids or random_ids("o")
        self._remembered_requests = remembered_requests

    async def create(self, draft: OrderDraft, request_id: str = "") -> Created[OrderRecord]:
        """Fulfil `OrderStore.create`."""
        async with self._database.transaction() as step:
            position = await next_position(step)
            known = await _request(step, request_id)
            if known is not None:
                await step.undo()
                return Created(_order_of_request(known, draft), is_new=False)
            now_unix_nano = self._clock()
            of_draft = (position, draft.user_id, draft.amount_minor_units)
            rest = (OrderStatus.PENDING, draft.note, now_unix_nano, now_unix_nano)
            row = await _inserted(step, _INSERT_ORDER, self._ids, (*of_draft, *rest))
            if request_id:
                asked = (request_id, position, row["order_id"], *of_draft[1:], draft.note, now_unix_nano)
                await step.rows(_INSERT_ORDER_REQUEST, asked)
                await step.rows(_FORGET, (position - self._remembered_requests,))
            return Created(_order(row), is_new=True)

    async def created_by(self, draft: OrderDraft, request_id: str) -> OrderRecord | None:
        """Fulfil `OrderStore.created_by`."""
        if not request_id:
            return None
        async with self._database.transaction() as step:
            known = await _request(step, request_id)
        return None if known is None else _order_of_request(known, draft)

    async def get(self, order_id: str) -> OrderRecord | None:
        """Fulfil `OrderStore.get`."""
        rows = await self._database.rows(_ORDER, (order_id,)) if _possible([order_id]) else []
        return _order(rows[0]) if rows else None

    async def page(self, after_position: int, limit: int, user_ids: Sequence[str] = ()) -> Page[OrderRecord]:
        """Fulfil `OrderStore.page`."""
        if user_ids:
            asked = (after_position, _possible(user_ids), limit + 1)
            rows = await self._database.rows(_ORDER_PAGE_OF_USERS, asked)
        else:
            rows = await self._database.rows(_ORDER_PAGE, (after_position, limit + 1))
        records = tuple(map(_order, rows[:limit]))
        return Page(records, records[-1].position if len(rows) > limit else None)

    async def last_position(self) -> int:
        """Fulfil `OrderStore.last_position`."""
        rows = await self._database.rows(_LAST_POSITION, ())
        return int(rows[0]["position"])

    async def update(self, order_id: str, changes: OrderChanges) -> OrderUpdate | None:
        """Fulfil `OrderStore.update`."""
        if not _possible([order_id]):
            return None
        async with self._database.transaction() as step:
            before = await step.rows(_LOCKED_ORDER, (order_id,))
            if not before:
                return None
            asked = (changes.status, changes.note, self._clock(), order_id)
            (after,) = await step.rows(_UPDATE_ORDER, asked)
        return OrderUpdate(_order(before[0]), _order(after))


@asynccontextmanager
async def open_user_store(
    url: str, tracer: Tracer | None = None, api: ApiName = "aio"
) -> AsyncIterator[PostgresUserStore]:
    """Open UserService's own schema of a database while the block runs. Raises as `PostgresDatabase.opened`."""
    async with PostgresDatabase.opened(url, USER_SCHEMA, USER_SCRIPTS, tracer, api) as database:
        yield PostgresUserStore(database)


@asynccontextmanager
async def open_order_store(
    url: str, tracer: Tracer | None = None, api: ApiName = "aio"
) -> AsyncIterator[PostgresOrderStore]:
    """Open OrderService's own schema of a database while the block runs. Raises as `PostgresDatabase.opened`."""
    async with PostgresDatabase.opened(url, ORDER_SCHEMA, ORDER_SCRIPTS, tracer, api) as database:
        yield PostgresOrderStore(database)


async def next_position(step: Transaction) -> int:
    """Take the next position, and wait for whoever took the one before to commit."""
    rows = await step.rows(_NEXT_POSITION, ())
    return int(rows[0]["position"])


async def _request(step: Transaction, request_id: str) -> DictRow | None:
    rows = await step.rows(_REQUEST, (request_id,)) if request_id else []
    return rows[0] if rows else None


async def _inserted(step: Transaction, statement: Statement, ids: IdSource, values: Sequence[Any]) -> DictRow:
    """Insert under an id that nobody has."""
    while not (rows := await step.rows(statement, (ids(), *values))):
        pass
    return rows[0]


def _possible(ids: Collection[str]) -> list[str]:
    """Those that the database can be asked for: its text holds no U+0000, so no record has such an id."""
    return [each for each in ids if "\0" not in each]


def _order(row: DictRow) -> OrderRecord:
    return OrderRecord(**{**row, "status": OrderStatus(row["status"])})


def _user_of_request(row: DictRow, draft: UserDraft) -> UserRecord:
    if (row["name"], row["email"]) != (draft.name, draft.email):
        raise RequestIdReusedError(row["request_id"])
    time_unix_nano = row["create_time_unix_nano"]
    return UserRecord(row["user_id"], row["position"], draft.name, draft.email, time_unix_nano, time_unix_nano)


def _order_of_request(row: DictRow, draft: OrderDraft) -> OrderRecord:
    if (row["user_id"], row["amount_minor_units"], row["note"]) != (
        draft.user_id,
        draft.amount_minor_units,
        draft.note,
    ):
        raise RequestIdReusedError(row["request_id"])
    return OrderRecord(
        order_id=row["order_id"],
        position=row["position"],
        user_id=draft.user_id,
        amount_minor_units=draft.amount_minor_units,
        status=OrderStatus.PENDING,
        note=draft.note,
        create_time_unix_nano=row["create_time_unix_nano"],
        update_time_unix_nano=row["create_time_unix_nano"],
    )
