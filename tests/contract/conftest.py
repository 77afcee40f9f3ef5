"""Each adapter of the telemetry store, on a clock that tests move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel.backend.ports import Retention, TelemetryStore
from otel.backend.stores.memory import MemoryStore
from otel.backend.stores.sqlite.store import SqliteStore
from tests.contract.telemetry import T0

StoreOf = Callable[[Retention, Callable[[], int]], TelemetryStore]


class Clock:
    def __init__(self) -> None:
        self.now_unix_nano = T0

    def __call__(self) -> int:
        return self.now_unix_nano


@pytest.fixture(params=["memory", "sqlite"])
def store_of(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreOf]:
    opened: list[TelemetryStore] = []

    def make(retention: Retention, clock: Callable[[], int]) -> TelemetryStore:
        store: TelemetryStore
        if request.param == "memory":
            store = MemoryStore(retention, clock)
        else:
            store = SqliteStore(tmp_path / "store.sqlite", retention, clock)
        opened.append(store)
        return store

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(store_of: StoreOf, clock: Clock) -> TelemetryStore:
    return store_of(Retention(), clock)
