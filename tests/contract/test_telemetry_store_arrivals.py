"""What the SQLite store drops first: what arrived first, by the clock, whatever came beside it or has gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from otel.backend.ports import LogSearch, Retention
from otel.backend.stores.sqlite import expiry
from otel.backend.stores.sqlite.store import SqliteStore
from tests.contract.older_store import as_version_4_left_it
from tests.contract.sqlite_store import found
from tests.contract.telemetry import SECOND, T0, log_record, resource_logs, resource_spans, span

# A text for each log record, with the number of its trace, or 0.
Texts = Mapping[str, int]


class TimedStore:
    """A store that keeps a minute, on a clock that tests set."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._now = T0
        self.open()

    def at(self, second: int) -> SqliteStore:
        self._now = T0 + second * SECOND
        return self.store

    def write(self, second: int, traces: Sequence[int] = (), texts: Texts | None = None) -> None:
        spans = [resource_spans("order", [span(number, 1, start=T0 + number)]) for number in traces]
        records = [log_record(text, trace=trace) for text, trace in (texts or {}).items()]
        self.at(second).write(spans, [resource_logs("order", records)] if records else [])

    def open(self, max_bytes: int = 2**40) -> None:
        self.store = SqliteStore(self._path, Retention(max_age_s=60, max_bytes=max_bytes), lambda: self._now)

    def kept(self) -> tuple[list[int], list[str]]:
        parts = self.store.logs(LogSearch(limit=100)).resource_logs
        records = [record for part in parts for scope in part.scope_logs for record in scope.log_records]
        return sorted(found(self.store, limit=100)), sorted(record.body.string_value for record in records)

    def batch_count(self) -> int:
        (count,) = self.store._database.writer.execute("SELECT count(*) FROM batch").fetchone()
        assert isinstance(count, int)
        return count


def test_what_came_while_the_clock_was_ahead_stays_until_its_time(path: Path) -> None:
    timed = TimedStore(path)
    timed.write(100, [1], {"ahead": 0})
    timed.write(0, [2], {"right": 0})
    assert timed.at(50).statistics().oldest_arrival_unix_nano == T0
    assert timed.at(70).expire() == 1
    assert timed.kept() == ([1], ["ahead"])
    assert timed.store.statistics().oldest_arrival_unix_nano == T0 + 100 * SECOND
    assert timed.at(170).expire() == 1
    assert (timed.kept(), timed.batch_count()) == (([], []), 0)
    assert timed.store.statistics().oldest_arrival_unix_nano == 0
    timed.store.close()


@pytest.mark.parametrize("restarted", [False, True])
def test_what_came_later_does_not_go_with_what_went_before_it(path: Path, restarted: bool) -> None:
    timed = TimedStore(path)
    timed.write(0, [1])
    timed.write(50, [2], {"of the first trace": 1})
    # The newest record goes with its trace, and its batch stays for the other trace.
    assert timed.at(70).expire() == 1
    assert timed.kept() == ([2], [])
    if restarted:
        timed.store.close()
        timed.open()
    timed.write(100, [3], {"later": 0})
    assert timed.at(115).expire() == 1
    assert timed.kept() == ([3], ["later"])
    timed.store.close()


def test_a_record_stays_with_a_trace_that_came_after_it_and_leaves_nothing_behind(path: Path) -> None:
    timed = TimedStore(path)
    timed.write(0, [], {"early": 1, "lone": 0})
    timed.write(50, [1])
    assert timed.at(70).expire() == 0
    assert timed.kept() == ([1], ["early"])
    assert timed.at(115).expire() == 1
    assert (timed.kept(), timed.batch_count()) == (([], []), 0)
    timed.store.close()


def test_a_step_drops_a_part_of_a_batch_and_the_next_step_goes_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "TRACES_PER_STEP", 2)
    monkeypatch.setattr(expiry, "LOGS_PER_STEP", 2)
    timed = TimedStore(path)
    timed.write(0, range(1, 6), {f"text {number}": 0 for number in range(5)})
    timed.write(1, range(6, 8), {"last": 0})
    assert timed.at(100).expire() == 7
    assert (timed.kept(), timed.batch_count()) == (([], []), 0)
    timed.store.close()


def test_records_before_their_traces_do_not_keep_a_full_store_from_dropping(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "TRACES_PER_STEP", 1)
    monkeypatch.setattr(expiry, "LOGS_PER_STEP", 1)
    timed = TimedStore(path)
    timed.write(0, [], {"early": 1, "as early": 2})
    timed.write(1, [1])
    timed.write(2, [2])
    timed.store.close()
    timed.open(max_bytes=0)
    assert timed.store.expire() == 2
    assert timed.kept() == ([], [])
    timed.store.close()


def test_an_older_file_drops_by_the_arrivals_that_its_rows_say(path: Path) -> None:
    timed = TimedStore(path)
    timed.write(0, [1, 2], {"first": 0, "of the first trace": 1})
    timed.write(50, [3], {"second": 0})
    timed.store.close()
    as_version_4_left_it(path)
    timed.open()
    timed.write(80, [4], {"third": 0})
    for second, kept in (
        (55, ([1, 2, 3, 4], ["first", "of the first trace", "second", "third"])),
        (70, ([3, 4], ["second", "third"])),
        (115, ([4], ["third"])),
    ):
        timed.at(second).expire()
        assert timed.kept() == kept
        timed.store.close()
        timed.open()
    timed.store.close()
