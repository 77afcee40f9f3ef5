"""Files of other versions of the SQLite store: a newer one is refused, an older one is read and goes on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from otel.backend.errors import StoreRefusedError
from otel.backend.ports import CallCount, LogSearch, Retention
from otel.backend.stores.sqlite import block_writer, database, sealed_segment
from otel.backend.stores.sqlite.store import SqliteStore
from tests.contract.measurements import number_point, resource_metrics, sum_metric
from tests.contract.older_store import as_version_2_left_it, as_version_4_left_it, bucket_of_version_4
from tests.contract.sqlite_store import filled, found
from tests.contract.telemetry import SECOND, T0, log_record, resource_logs, resource_spans, span, trace_id


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreRefusedError, match=r"newer version \(schema 99, this one reads 5\)"):
        SqliteStore(path)


def as_version_1_left_it(path: Path) -> None:
    """A store without metrics, as the first version wrote it."""
    store = SqliteStore(path)
    filled(store, range(1, 12))
    store.close()
    as_version_4_left_it(path)
    with sqlite3.connect(path) as connection:
        for table in ("metric_series", "metric_point", "metric_exemplar"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("PRAGMA user_version = 1")
    connection.close()


def test_a_file_of_the_version_before_metrics_opens_with_all_it_has_and_takes_metrics(path: Path) -> None:
    as_version_1_left_it(path)
    for _ in range(2):
        store = SqliteStore(path)
        assert store.set_aside is None
        assert found(store, limit=3) == [11, 10, 9]
        assert len(store.logs(LogSearch(text="line")).resource_logs) == 1
        metric = sum_metric("calls", [number_point(1, at_s=1)])
        store.write([], [], [resource_metrics("order", [metric])])
        assert [each.metric.name for each in store.metric_series()] == ["calls"]
        store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 5
    connection.close()


def filled_traces(store: SqliteStore) -> list[TracesData | None]:
    return [store.trace(trace_id(number)) for number in range(1, 12)]


def opened_with(path: Path, traces: list[TracesData | None], calls: list[CallCount]) -> SqliteStore:
    """Open a file of another version: what it was filled with is there as before, and is found."""
    store = SqliteStore(path)
    assert store.set_aside is None
    assert filled_traces(store) == traces
    assert store.calls(0, 2**62) == calls
    assert found(store, attributes={"half": "3"}) == [7, 6]
    return store


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("indexed_traces", [0, 6, 11])
def test_a_file_of_the_version_with_pieces_is_read_where_it_lies_and_goes_on_in_blocks(
    path: Path, indexed_traces: int
) -> None:
    store = SqliteStore(path)
    filled(store, range(1, 12))
    before = filled_traces(store)
    calls = store.calls(0, 2**62)
    store.close()
    as_version_2_left_it(path, indexed_traces)
    for _ in range(2):
        store = opened_with(path, before, calls)
        assert found(store, attributes={"n": "11"}) == [11]
        assert found(store, operation="child", limit=100) == list(range(11, 0, -1))
        # What was there is known, what is new joins it.
        filled(store, range(1, 12))
        assert store.statistics().span_count == 22
        store.close()
    store = SqliteStore(path)
    store.write([resource_spans("user", [span(3, 9, 1, name="late", attributes={"late": "yes"})])], [])
    assert found(store, attributes={"late": "yes"}) == [3]
    late = store.trace(trace_id(3))
    assert late is not None
    assert sorted(each.name for part in late.resource_spans for each in part.scope_spans[0].spans) == [
        "child",
        "late",
        "work",
    ]
    store.close()


def test_pieces_of_an_older_file_go_when_they_have_expired(path: Path) -> None:
    store = SqliteStore(path, Retention(max_age_s=60), lambda: T0)
    filled(store, range(1, 12))
    store.close()
    as_version_2_left_it(path, 6)
    now = T0 + 120 * SECOND
    again = SqliteStore(path, Retention(max_age_s=60), lambda: now)
    filled(again, range(20, 22))
    again.expire()
    assert found(again) == [21, 20]
    counts = [
        again._database.writer.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("span_piece", "segment", "segment_postings")
    ]
    assert counts == [0, 0, 0]
    again.close()


def test_a_file_that_does_not_know_its_exemplars_opens_and_knows_those_that_come(path: Path) -> None:
    store = SqliteStore(path)
    store.write([], [], [resource_metrics("order", [sum_metric("calls", [number_point(1, at_s=1)])])])
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE metric_exemplar")
    connection.close()
    again = SqliteStore(path)
    again.write([], [], [resource_metrics("order", [sum_metric("calls", [number_point(2, at_s=2)])])])
    (series,) = again.metric_series()
    ((_, points),) = again.metric_points([series.number], 0, 2**63, 10 * SECOND)
    assert len(points) == 1
    again.close()


def test_a_migration_that_is_cut_off_is_done_at_the_next_start(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_version_1_left_it(path)
    with monkeypatch.context() as patched:
        patched.setattr(database, "SCHEMA_VERSION", "2; SELECT no_such_function()")
        patched.setattr(database, "_check", lambda connection, _: database._run(connection, "metrics.sql"))
        with pytest.raises(StoreRefusedError):
            SqliteStore(path)
    store = SqliteStore(path)
    assert (found(store, limit=1), store.metric_series()) == ([11], [])
    store.close()


def test_a_file_of_the_version_without_packed_log_records_is_read_and_goes_on_with_packed_ones(path: Path) -> None:
    now = T0
    store = SqliteStore(path, Retention(max_age_s=3600), lambda: now)
    records = [log_record(f"older line {number}", time=T0 + number, trace=1, number=number) for number in range(1, 5)]
    store.write([], [resource_logs("order", records)])
    store.close()
    as_version_4_left_it(path)
    with sqlite3.connect(path) as connection:  # so few lie as they are, as each did then
        assert connection.execute("SELECT min(substr(record, 1, 1)) FROM log").fetchone()[0] > b"\x01"
        connection.execute("DROP TABLE log_dictionary")
        connection.execute("PRAGMA user_version = 3")
    connection.close()
    store = SqliteStore(path, Retention(max_age_s=3600), lambda: now)
    newer = [
        log_record(f"newer line {number}", time=T0 + 10 + number, trace=1, number=number) for number in range(1, 999)
    ]
    assert store.write([], [resource_logs("order", records)]).duplicate_count == 4
    store.write([], [resource_logs("order", newer)])
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT min(substr(record, 1, 1)) FROM log").fetchone()[0] <= b"\x01"
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 5
    connection.close()
    (page,) = store.logs(LogSearch(trace_id=trace_id(1), limit=2000)).resource_logs
    assert list(page.scope_logs[0].log_records) == [*records, *newer]
    assert [len(each.scope_logs[0].log_records) for each in store.logs(LogSearch(text="older")).resource_logs] == [4]
    assert store.write([], [resource_logs("order", newer)]).duplicate_count == len(newer)
    now += 7200 * SECOND
    store.expire()
    assert store.statistics().log_count == 0
    assert not store.logs(LogSearch(text="line")).resource_logs
    store.close()


@pytest.mark.usefixtures("small_segments")
def test_a_file_whose_blocks_have_every_trace_id_and_buckets_whole_hashes_is_read_and_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(block_writer, "without_trace_ids", lambda *_: None)
        patched.setattr(sealed_segment, "_bucket", bucket_of_version_4)
        store = SqliteStore(path)
        filled(store, range(1, 12))
        before = filled_traces(store)
        calls = store.calls(0, 2**62)
        store.close()
    as_version_4_left_it(path)
    for _ in range(2):
        store = opened_with(path, before, calls)
        filled(store, range(1, 12))
        assert store.statistics().span_count == 22
        store.close()
    store = SqliteStore(path)
    late = resource_spans("order", [span(3, 9, 1, name="late", attributes={"late": "yes"})])
    store.write([late, resource_spans("order", [span(20, 1, attributes={"late": "yes"})])], [])
    for _ in range(2):
        assert sorted(found(store, attributes={"late": "yes"})) == [3, 20]
        joined, only_new = store.trace(trace_id(3)), store.trace(trace_id(20))
        assert joined is not None
        assert only_new is not None
        spans = [each for part in joined.resource_spans for each in part.scope_spans[0].spans]
        assert [each.name for each in spans] == ["work", "child", "late"]
        assert {each.trace_id for each in spans} == {trace_id(3)}
        assert only_new.resource_spans[0].scope_spans[0].spans[0].trace_id == trace_id(20)
        store.close()
        store = SqliteStore(path)
    store.close()
