"""What the SQLite store promises of its file: it lasts, and is refused, set aside or full with a sentence."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from structlog.testing import capture_logs

from otel.backend.errors import StoreFullError, StoreRefusedError
from otel.backend.ports import LogSearch, Retention, TraceSearch
from otel.backend.stores.memory import MemoryStore
from otel.backend.stores.sqlite import (
    log_rows,
    names,
    trace_rows,
)
from otel.backend.stores.sqlite.store import SqliteStore
from tests.contract.measurements import number_point, resource_metrics, sum_metric
from tests.contract.sqlite_store import filled, found
from tests.contract.telemetry import MS, SECOND, T0, log_record, resource_logs, resource_spans, span, trace_id


@pytest.mark.usefixtures("small_segments")
def test_what_was_stored_is_found_after_a_clean_restart(path: Path) -> None:
    store = SqliteStore(path)
    filled(store, range(1, 12))
    store.close()
    again = SqliteStore(path)
    assert found(again, attributes={"half": "3"}) == [7, 6]
    assert found(again, service="order", limit=3) == [11, 10, 9]
    assert again.services() == ["order"]
    assert [len(part.scope_logs) for part in again.logs(LogSearch(text="line")).resource_logs] == [1]
    again.close()


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("count", [1, 4, 7, 23])
def test_what_was_committed_is_found_by_a_copy_taken_while_it_runs(path: Path, tmp_path: Path, count: int) -> None:
    store = SqliteStore(path)
    filled(store, range(1, count + 1))
    for file in path.parent.glob("store.sqlite*"):
        shutil.copy(file, tmp_path / file.name)
    again = SqliteStore(tmp_path / "store.sqlite")
    assert found(again, operation="child", limit=100) == list(range(count, 0, -1))
    filled(again, range(1, count + 1))
    assert again.statistics().span_count == 2 * count
    again.close()
    store.close()


def test_a_late_piece_after_a_restart_joins_its_trace(path: Path) -> None:
    store = SqliteStore(path)
    store.write([resource_spans("order", [span(1, 2, 1, name="child")])], [])
    store.close()
    again = SqliteStore(path)
    again.write([resource_spans("order", [span(1, 1, name="root"), span(1, 2, 1, name="child")])], [])
    summary = again.summaries_of([trace_id(1)])[0]
    assert (summary.span_count, summary.orphan_span_count, summary.root_operation) == (2, 0, "root")
    again.close()


def test_metrics_are_there_after_a_restart_and_go_on_as_the_same_series(path: Path) -> None:
    for index in range(3):
        store = SqliteStore(path)
        metrics = [sum_metric("calls", [number_point(index, at_s=index, attributes={"method": "a"})])]
        store.write([], [], [resource_metrics("order", metrics)])
        store.close()
    again = SqliteStore(path)
    (series,) = again.metric_series()
    assert (series.service, series.scope.name) == ("order", "test")
    assert [pair.key for pair in series.attributes] == ["method"]
    ((_, points),) = again.metric_points([series.number], 0, 2**63)
    assert len(points) == 3
    again.close()


def test_metrics_that_were_committed_are_in_a_copy_taken_while_it_runs(path: Path, tmp_path: Path) -> None:
    store = SqliteStore(path)
    for index in range(20):
        store.write([], [], [resource_metrics("order", [sum_metric(f"m{index}", [number_point(1, at_s=1)])])])
    for file in path.parent.glob("store.sqlite*"):
        shutil.copy(file, tmp_path / file.name)
    again = SqliteStore(tmp_path / "store.sqlite")
    assert len(again.metric_series()) == again.statistics().point_count == 20
    again.close()
    store.close()


def test_metrics_of_a_write_that_failed_leave_nothing_behind(path: Path) -> None:
    store = SqliteStore(path)
    filled(store, range(1, 20))
    writer = store._database.writer
    writer.execute(f"PRAGMA max_page_count = {writer.execute('PRAGMA page_count').fetchone()[0]}")
    points = [number_point(1, at_s=1, attributes={"noise": f"{index}" * 500}) for index in range(500)]
    with pytest.raises(StoreFullError, match="free some room"):
        store.write([], [], [resource_metrics("order", [sum_metric("calls", points)])])
    assert store.metric_series() == []
    writer.execute("PRAGMA max_page_count = 100000")
    store.write([], [], [resource_metrics("order", [sum_metric("calls", [number_point(1, at_s=1)])])])
    ((_, points_found),) = store.metric_points([store.metric_series()[0].number], 0, 2**63)
    assert len(points_found) == 1
    store.close()


def test_a_database_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE precious (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreRefusedError, match="a database of something else"):
        SqliteStore(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"root:x:0:0:\n", b"PK\x03\x04" * 9000, b"x"], ids=["text", "archive", "a byte"])
def test_a_file_that_was_never_a_store_is_refused_and_left_alone_each_time(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(StoreRefusedError, match=r"store\.sqlite is not a store of telemetry; name another file"):
            SqliteStore(path)
        assert [file.name for file in path.parent.iterdir()] == [path.name]
        assert path.read_bytes() == content


def test_a_store_in_use_is_refused(path: Path) -> None:
    store = SqliteStore(path)
    with pytest.raises(StoreRefusedError, match=r"store\.sqlite is in use by another backend"):
        SqliteStore(path)
    store.close()
    SqliteStore(path).close()


@pytest.mark.parametrize("damage", ["no database", "torn", "scarred"])
def test_a_damaged_file_is_set_aside_and_a_fresh_one_begun(path: Path, damage: str) -> None:
    store = SqliteStore(path)
    filled(store, range(1, 200))
    store.close()
    body = bytearray(path.read_bytes())
    if damage == "torn":
        body[8192:] = b"\xa5" * (len(body) - 8192)
    elif damage == "scarred":
        body[3 * 4096 : 11 * 4096] = b"\xa5" * (8 * 4096)
    else:
        body[:] = b"this is no database" * 1000
    path.write_bytes(body)
    with capture_logs() as logged:
        fresh = SqliteStore(path)
    assert found(fresh) == []
    filled(fresh, range(1, 3))
    assert found(fresh) == [2, 1]
    fresh.close()
    (aside,) = path.parent.glob("store.sqlite.damaged-*Z")
    assert aside.read_bytes() == bytes(body)
    assert fresh.set_aside == aside
    assert [(entry["event"], entry["set_aside"]) for entry in logged] == [("store.damaged", str(aside))]


def test_where_nothing_is_damaged_nothing_is_set_aside(path: Path) -> None:
    for _ in range(2):
        store = SqliteStore(path)
        assert store.set_aside is None
        store.close()
    assert MemoryStore().set_aside is None


def test_damage_that_is_met_while_it_runs_is_looked_for_at_the_next_start(path: Path) -> None:
    SqliteStore(path).close()
    path.with_name(path.name + ".suspect").touch()
    store = SqliteStore(path)
    assert not path.with_name(path.name + ".suspect").exists()
    store.close()


def test_a_full_disk_refuses_for_now_and_keeps_what_was_accepted(path: Path) -> None:
    store = SqliteStore(path)
    filled(store, range(1, 20))
    writer = store._database.writer
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")
    noise = {"noise": "".join(chr(0x4E00 + index * 7919 % 20000) for index in range(100_000))}
    with pytest.raises(StoreFullError, match="free some room"):
        store.write([resource_spans("new service", [span(99, 1, attributes=noise)])], [])
    assert found(store, limit=3) == [19, 18, 17]
    assert store.trace(trace_id(99)) is None
    assert store.services() == ["order"]
    writer.execute("PRAGMA max_page_count = 100000")
    store.write([resource_spans("new service", [span(99, 1, start=T0 + 99 * SECOND, attributes=noise)])], [])
    assert found(store, limit=2) == [99, 19]
    assert found(store, service="new service") == [99]
    store.close()


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((StoreRefusedError, OSError)):
        SqliteStore(tmp_path / "file" / "store.sqlite")


def test_names_past_the_bound_are_still_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MAX_OPERATIONS", 3)
    store = SqliteStore(path)
    for number in range(1, 9):
        store.write([resource_spans("order", [span(number, 1, name=f"op {number}", start=T0 + number)])], [])
    assert [each.name for each in store.operations("order")] == ["op 1", "op 2", "op 3"]
    assert found(store, service="order", operation="op 7") == [7]
    assert found(store, service="order", limit=3) == [8, 7, 6]
    store.close()


def test_a_common_text_is_found_along_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_rows, "COMMON_HITS", 3)
    monkeypatch.setattr(log_rows, "ROWS_PER_STEP", 4)
    store = SqliteStore(path)
    records = [log_record(f"{'even' if number % 2 == 0 else 'odd'} {number}", time=T0 - number) for number in range(30)]
    store.write([], [resource_logs("order", records)])
    seen: list[str] = []
    position = None
    for _ in range(9):
        page = store.logs(LogSearch(text="even", limit=2, after=position))
        seen += [each.body.string_value for part in page.resource_logs for each in part.scope_logs[0].log_records]
        position = page.next_position
        if position is None:
            break
    assert seen == [f"even {number}" for number in range(28, -1, -2)]
    store.close()


def test_forgotten_states_are_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_rows, "MAX_REMEMBERED_SPANS", 2)
    store = SqliteStore(path)
    filled(store, range(1, 8))
    filled(store, range(1, 8))
    assert store.statistics().span_count == 14
    store.close()


@pytest.mark.usefixtures("small_segments")
def test_expired_segments_and_dictionaries_leave_the_file(path: Path) -> None:
    now = [T0]
    store = SqliteStore(path, Retention(max_age_s=60), lambda: now[0])
    filled(store, range(1, 60))
    now[0] += 120 * SECOND
    filled(store, range(60, 120))
    store.expire()
    assert found(store, limit=1000) == list(range(119, 59, -1))
    count = store._database.writer.execute("SELECT count(*) FROM span_segment").fetchone()[0]
    assert count < 32
    assert store.statistics().log_count == 60
    store.close()


def test_spans_are_found_beside_blocks_that_have_gone(path: Path) -> None:
    now = [T0]
    store = SqliteStore(path, Retention(max_age_s=60), lambda: now[0])
    filled(store, range(1, 2))
    now[0] += 50 * SECOND
    filled(store, range(2, 3))
    store.write([resource_spans("order", [span(1, 7, 1, name="late")])], [])
    filled(store, range(3, 5))
    now[0] += 20 * SECOND
    assert store.expire() == 1
    blocks = "SELECT id FROM span_block ORDER BY id"
    assert [row[0] for row in store._database.writer.execute(blocks)] == [2, 4, 5]
    for _ in range(2):
        assert [found(store, attributes={"n": str(number)}) for number in range(1, 6)] == [[], [2], [3], [4], []]
        store.close()
        store = SqliteStore(path, Retention(max_age_s=60), lambda: now[0])
    filled(store, range(5, 6))
    assert [found(store, attributes={"n": str(number)}) for number in (4, 5)] == [[4], [5]]
    store.close()


def test_what_has_expired_is_not_found_again_under_a_new_key(path: Path) -> None:
    now = [T0]
    store = SqliteStore(path, Retention(max_age_s=60), lambda: now[0])
    filled(store, range(1, 4))
    now[0] += 120 * SECOND
    store.expire()
    store.close()
    again = SqliteStore(path, Retention(max_age_s=60), lambda: now[0])
    again.write([resource_spans("order", [span(9, 1, attributes={"n": 9})])], [])
    assert found(again, attributes={"n": "1"}) == []
    assert found(again) == [9]
    again.close()


spans_drawn = st.builds(
    lambda service, number, index, parent, start, duration, status, kind, name, attributes: resource_spans(
        service,
        [
            span(
                number,
                index,
                parent,
                name=name,
                kind=kind,
                start=T0 + start * MS,
                duration=duration * MS,
                status=status,
                attributes=attributes,
            )
        ],
    ),
    st.sampled_from(["order", "user"]),
    st.integers(1, 6),
    st.integers(1, 5),
    st.integers(0, 5),
    st.integers(0, 20),
    st.integers(0, 5),
    st.integers(0, 2),
    st.integers(0, 5),
    st.sampled_from(["get", "list"]),
    st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["x", "y", 1, 1.5, True]), max_size=2),
)
searches_drawn = st.builds(
    TraceSearch,
    start_min_unix_nano=st.integers(0, 20).map(lambda number: T0 + number * MS),
    start_max_unix_nano=st.integers(5, 25).map(lambda number: T0 + number * MS),
    service=st.sampled_from(["", "order", "user", "nobody"]),
    operation=st.sampled_from(["", "get", "absent"]),
    attributes=st.dictionaries(
        st.sampled_from(["a", "b", "error", "span.kind", "span.status", "scope.name", "resource.service.name"]),
        st.sampled_from(["x", "1", "1.5", "true", "false", "client", "OK", "test", "order"]),
        max_size=2,
    ),
    duration_min_ns=st.sampled_from([0, 2 * MS]),
    duration_max_ns=st.sampled_from([0, 3 * MS]),
    limit=st.integers(1, 4),
)


@pytest.mark.usefixtures("small_segments")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(st.lists(spans_drawn, max_size=4), max_size=12),
    searches=st.lists(searches_drawn, min_size=3, max_size=6),
)
def test_it_finds_exactly_what_the_memory_store_finds(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[ResourceSpans]], searches: list[TraceSearch]
) -> None:
    plain = MemoryStore()
    indexed = SqliteStore(tmp_path_factory.mktemp("drawn") / "store.sqlite")
    try:
        for batch in batches:
            copies = [ResourceSpans.FromString(part.SerializeToString()) for part in batch]
            assert plain.write(batch, []) == indexed.write(copies, [])
        for search in searches:
            full = {
                each.trace_id: each
                for each in plain.summaries(
                    TraceSearch(
                        search.start_min_unix_nano,
                        search.start_max_unix_nano,
                        search.service,
                        search.operation,
                        search.attributes,
                        search.duration_min_ns,
                        search.duration_max_ns,
                        100,
                    )
                )
            }
            given_back = indexed.summaries(search)
            # Traces that start together may come in any order, so the limit may cut either of them.
            assert [each.min_start_unix_nano for each in given_back] == sorted(
                (each.min_start_unix_nano for each in full.values()), reverse=True
            )[: search.limit]
            assert all(full.get(each.trace_id) == each for each in given_back)
        assert plain.calls(0, 2**62) == indexed.calls(0, 2**62)
        everything = (frozenset({"order", "user"}), frozenset(range(6)), 0, 2**62)
        key = lambda each: (each.service, each.operation, each.start_unix_nano, each.duration_ns, each.is_error)  # noqa: E731
        assert sorted(plain.measures(*everything), key=key) == sorted(indexed.measures(*everything), key=key)
    finally:
        indexed.close()


def test_logging_is_quiet_where_nothing_is_wrong(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        SqliteStore(path).close()
    assert caplog.records == []
