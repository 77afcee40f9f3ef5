"""What PostgreSQL adds to the stores: spans of its statements, migrations, and an outage that reads UNAVAILABLE."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from services.errors import StoreUnavailableError
from services.options import ApiName
from services.stores.ports import OrderDraft, UserDraft
from services.stores.postgres import (
    ORDER_SCRIPTS,
    USER_SCRIPTS,
    PostgresOrderStore,
    PostgresUserStore,
    next_position,
)
from services.stores.postgres_database import PostgresDatabase, Statement
from tests.contract.record_stores import new_schema
from tests.polling import eventually_async
from tests.postgres_server import PostgresServer


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("test")


def texts_of(spans: tuple[ReadableSpan, ...]) -> str:
    return " ".join(
        f"{each.name} {dict(each.attributes or {})} {each.status.description} {each.events}" for each in spans
    )


async def test_every_statement_is_a_client_span_that_holds_no_value(
    postgres: PostgresServer, exporter: InMemorySpanExporter, tracer: Tracer
) -> None:
    async with PostgresDatabase.opened(postgres.url, new_schema(), USER_SCRIPTS, tracer) as database:
        await PostgresUserStore(database).create(UserDraft("Alice", "alice@example.org"), "r-1")
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == [
        "UPDATE last_position",
        "SELECT requests",
        "INSERT users",
        "INSERT requests",
        "DELETE requests",
    ]
    assert {span.kind for span in spans} == {SpanKind.CLIENT}
    insert = dict(spans[2].attributes or {})
    assert (insert["db.system.name"], insert["db.operation.name"], insert["db.collection.name"]) == (
        "postgresql",
        "INSERT",
        "users",
    )
    assert "Alice" not in texts_of(spans)


async def test_a_statement_that_fails_says_its_sqlstate_and_nothing_that_was_stored(
    postgres: PostgresServer, exporter: InMemorySpanExporter, tracer: Tracer
) -> None:
    values = "(%s, 1, '', '', '', 1), ('r', 1, '', '', '', 1)"
    twice = Statement("INSERT requests", f"INSERT INTO requests VALUES {values}")
    async with PostgresDatabase.opened(postgres.url, new_schema(), USER_SCRIPTS, tracer) as database:
        with pytest.raises(psycopg.errors.UniqueViolation):
            await database.rows(twice, ("secret",))
    (span,) = exporter.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "23505"
    assert "secret" not in texts_of((span,))


@pytest.mark.parametrize("api", ["aio", "sync"])
async def test_text_is_text_in_a_database_that_knows_no_encoding(postgres: PostgresServer, api: ApiName) -> None:
    name = new_schema()
    async with await psycopg.AsyncConnection.connect(postgres.url, autocommit=True) as connection:
        await connection.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0".encode())
    url = postgres.url.replace("/postgres?", f"/{name}?")
    async with PostgresDatabase.opened(url, new_schema(), USER_SCRIPTS, api=api) as database:
        store = PostgresUserStore(database)
        created = (await store.create(UserDraft("Zoë", "zoe@example.org"))).record
        assert await store.get(created.user_id) == created
        assert (created.name, created.email) == ("Zoë", "zoe@example.org")


async def test_processes_that_start_at_once_migrate_once(postgres: PostgresServer) -> None:
    schema = new_schema()

    async def open_and_create() -> int:
        async with PostgresDatabase.opened(postgres.url, schema, ORDER_SCRIPTS) as database:
            return (await PostgresOrderStore(database).create(OrderDraft("u-1", 1))).record.position

    assert sorted(await asyncio.gather(*(open_and_create() for _ in range(4)))) == [1, 2, 3, 4]


async def test_who_comes_later_waits_until_the_position_before_can_be_seen(postgres: PostgresServer) -> None:
    schema = new_schema()
    waiting = Statement(
        "SELECT pg_stat_activity",
        "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'",
    )
    async with PostgresDatabase.opened(postgres.url, schema, ORDER_SCRIPTS) as database:
        store = PostgresOrderStore(database)
        async with database.transaction() as earlier:
            assert await next_position(earlier) == 1
            later = asyncio.create_task(store.create(OrderDraft("u-1", 2)))
            await eventually_async(lambda: database.rows(waiting, (schema,)))
            assert (await store.page(0, 10)).records == ()
        assert (await later).record.position == 2


async def test_a_repeated_request_takes_no_position(postgres: PostgresServer) -> None:
    async with PostgresDatabase.opened(postgres.url, new_schema(), ORDER_SCRIPTS) as database:
        store = PostgresOrderStore(database)
        for _ in range(3):
            await store.create(OrderDraft("u-1", 1), "r-1")
        assert await store.last_position() == 1


@pytest.mark.parametrize("api", ["aio", "sync"])
async def test_while_the_database_is_gone_every_call_is_refused_and_afterwards_served(
    postgres: PostgresServer, api: ApiName
) -> None:
    async with PostgresDatabase.opened(postgres.url, new_schema(), USER_SCRIPTS, api=api) as database:
        store = PostgresUserStore(database)
        made = (await store.create(UserDraft("Alice", "a@b"))).record
        await asyncio.to_thread(postgres.kill)
        for _ in range(2):  # an outage so long that a pool that waits ever longer would miss its end
            with pytest.raises(StoreUnavailableError):
                await store.get(made.user_id)
        await asyncio.to_thread(postgres.start)
        assert await store.get(made.user_id) == made
