"""Which adapter a `--store` argument means."""

from __future__ import annotations

from pathlib import Path

from otel.backend.ports import Retention, TelemetryStore
from otel.backend.stores.memory import MemoryStore
from otel.backend.stores.sqlite.store import SqliteStore

MEMORY = ":memory:"


def open_store(store: str, retention: Retention) -> TelemetryStore:
    """Open the store that `store` names: a file path or `:memory:`; StoreRefusedError where that cannot be."""
    if store == MEMORY:
        return MemoryStore(retention)
    return SqliteStore(Path(store), retention)
