"""Makers of the stores of users and orders, one for each adapter; every store that is made is empty."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import pytest

from services.options import ApiName
from services.stores.memory import MemoryOrderStore, MemoryUserStore
from services.stores.ports import OrderStore, UserStore
from services.stores.postgres import ORDER_SCRIPTS, USER_SCRIPTS, PostgresOrderStore, PostgresUserStore
from services.stores.postgres_database import PostgresDatabase

ADAPTERS = ("memory", "postgresql", "postgresql of threads")

MakeUserStore = Callable[..., Awaitable[UserStore]]
MakeOrderStore = Callable[..., Awaitable[OrderStore]]


class Place(NamedTuple):
    """Where stores are made: a database's URL, "" for memory, and for which API."""

    url: str
    api: ApiName

    @classmethod
    def of(cls, request: pytest.FixtureRequest) -> Place:
        """Read an adapter's place from a fixture whose parameters are ADAPTERS."""
        url = "" if request.param == "memory" else request.getfixturevalue("postgres").url
        return cls(url, "sync" if request.param.endswith("threads") else "aio")


@asynccontextmanager
async def user_stores(place: Place) -> AsyncIterator[MakeUserStore]:
    """Make stores of users: in memory where the URL is "", else each in a schema of its own; closed at the end."""
    async with AsyncExitStack() as closing:

        async def make(**options: Any) -> UserStore:
            if not place.url:
                return MemoryUserStore(**options)
            opened = PostgresDatabase.opened(place.url, new_schema(), USER_SCRIPTS, api=place.api)
            return PostgresUserStore(await closing.enter_async_context(opened), **options)

        yield make


@asynccontextmanager
async def order_stores(place: Place) -> AsyncIterator[MakeOrderStore]:
    """Make stores of orders, as `user_stores` does those of users."""
    async with AsyncExitStack() as closing:

        async def make(**options: Any) -> OrderStore:
            if not place.url:
                return MemoryOrderStore(**options)
            opened = PostgresDatabase.opened(place.url, new_schema(), ORDER_SCRIPTS, api=place.api)
            return PostgresOrderStore(await closing.enter_async_context(opened), **options)

        yield make


def new_schema() -> str:
    return f"test_{uuid.uuid4().hex}"
