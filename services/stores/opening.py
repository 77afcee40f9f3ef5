"""Opens the store that a URL names: this process's memory without one, else a PostgreSQL database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from opentelemetry.trace import Tracer

from services.options import EXIT_USAGE, ApiName
from services.stores.memory import MemoryOrderStore, MemoryUserStore
from services.stores.ports import OrderStore, StoreOpeningError, UserStore

VARIABLE: Final = "LAB_STORE_URL"
_SCHEMES: Final = ("postgresql://", "postgres://")


@asynccontextmanager
async def open_user_store(url: str, tracer: Tracer, api: ApiName = "aio") -> AsyncIterator[UserStore]:
    """Open the users' store for as long as the block runs. Raises StoreOpeningError, whose text quotes no password."""
    if not _is_database(url):
        yield MemoryUserStore()
        return
    from services.stores import postgres  # loaded where a database is asked for

    async with postgres.open_user_store(url, tracer, api) as store:
        yield store


@asynccontextmanager
async def open_order_store(url: str, tracer: Tracer, api: ApiName = "aio") -> AsyncIterator[OrderStore]:
    """Open the orders' store for as long as the block runs. Raises StoreOpeningError, whose text quotes no password."""
    if not _is_database(url):
        yield MemoryOrderStore()
        return
    from services.stores import postgres

    async with postgres.open_order_store(url, tracer, api) as store:
        yield store


def _is_database(url: str) -> bool:
    if url and not url.startswith(_SCHEMES):
        sentence = f"{VARIABLE} is no URL of a PostgreSQL database, as in postgresql://host/name"
        raise StoreOpeningError(sentence, EXIT_USAGE)
    return bool(url)
