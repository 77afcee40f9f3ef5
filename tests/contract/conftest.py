"""Each adapter of the telemetry store, on a clock that tests move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel.backend.ports import Retention, TelemetryStore
from otel.backend.stores.memory import MemoryStore
from otel.backend.stores.sqlite import block_writer, compression, search, segment_list, segments, trace_rows
from otel.backend.stores.sqlite.store import SqliteStore
from tests.contract.call_spans import Start, start_by_sdk, start_by_us
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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "store.sqlite"


@pytest.fixture(params=["few spans", "common attributes"])
def small_segments(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments that a few spans fill; then blocks that they fill, too, and an index that works in bulk."""
    monkeypatch.setattr(segment_list, "SPANS_PER_SEGMENT", 4)
    if request.param == "common attributes":
        monkeypatch.setattr(segment_list, "SPANS_PER_SEGMENT", 9)
        monkeypatch.setattr(segments, "COMMON_SPANS", 2)
        monkeypatch.setattr(segments, "MAX_COMMON", 5)
        monkeypatch.setattr(block_writer, "SPANS_PER_BLOCK", 2)
        monkeypatch.setattr(trace_rows, "MAX_BYTES_IN_ROW", 1)
        monkeypatch.setattr(search, "FEW_SPANS", 0)
        monkeypatch.setattr(search, "SPANS_PER_STEP", 2)
        monkeypatch.setattr(compression, "FIRST_DICTIONARY_BYTES", 300)
        monkeypatch.setattr(compression, "BYTES_PER_DICTIONARY", 600)


@pytest.fixture(params=[start_by_sdk, start_by_us], ids=["sdk", "ours"])
def start(request: pytest.FixtureRequest) -> Start:
    chosen: Start = request.param
    return chosen


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    with caplog.at_level("WARNING"):
        yield lambda: [record.getMessage() for record in caplog.records]
