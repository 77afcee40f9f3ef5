"""Makers of the stores of users and orders, one for each adapter; every store that is made is empty."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from services.stores.memory import MemoryOrderStore, MemoryUserStore
from services.stores.ports import OrderStore, UserStore
from services.stores.postgres import ORDER_SCRIPTS, USER_SCRIPTS, PostgresOrderStore, PostgresUserStore
from services.stores.postgres_database import PostgresDatabase

ADAPTERS = ("memory", "postgresql")

MakeUserStore = Callable[..., Awaitable[UserStore]]
MakeOrderStore = Callable[..., Awaitable[OrderStore]]


@asynccontextmanager
async def user_stores(url: str) -> AsyncIterator[MakeUserStore]:
    """Make stores of users: in memory where `url` is "", else each in a schema of its own; closed at the end."""
    async with AsyncExitStack() as closing:

        async def make(**options: Any) -> UserStore:
            if not url:
                return MemoryUserStore(**options)
            opened = PostgresDatabase.opened(url, new_schema(), USER_SCRIPTS)
            return PostgresUserStore(await closing.enter_async_context(opened), **options)

        yield make


@asynccontextmanager
async def order_stores(url: str) -> AsyncIterator[MakeOrderStore]:
    """Make stores of orders, as `user_stores` does those of users."""
    async with AsyncExitStack() as closing:

        async def make(**options: Any) -> OrderStore:
            if not url:
                return MemoryOrderStore(**options)
            opened = PostgresDatabase.opened(url, new_schema(), ORDER_SCRIPTS)
            return PostgresOrderStore(await closing.enter_async_context(opened), **options)

        yield make


def new_schema() -> str:
    return f"test_{uuid.uuid4().hex}"
