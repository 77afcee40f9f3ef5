"""Spans lie in the file as they were sent: each comes back byte for byte, however its sender wrote its trace id."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from otel.backend.codec.varint import varint
from otel.backend.ports import Retention, TraceSearch
from otel.backend.stores.sqlite.span_fields import as_spans_field
from otel.backend.stores.sqlite.store import SqliteStore
from otel.backend.stores.sqlite.trace_blocks import MAX_BYTES_IN_ROW
from tests.contract.telemetry import SECOND, T0, pairs, resource_spans, span, trace_id

SCOPE_SPANS_TAG = b"\x12"
# The tag of a trace id, and its length in one byte and in two.
PLAIN, LONG_WINDED = b"\x0a\x10", b"\x0a\x90\x00"


def span_body(trace: int, number: int, form: str) -> bytes:
    """A span's bytes, its trace id first, last, twice, or with a length in more bytes than it needs."""
    rest = Span(
        span_id=number.to_bytes(8),
        name=f"call {number}",
        start_time_unix_nano=T0 + number,
        end_time_unix_nano=T0 + number + 1000,
        attributes=pairs({"number": number}),
    ).SerializeToString()
    field = PLAIN + trace_id(trace)
    return {
        "first": field + rest,
        "last": rest + field,
        "twice": field + rest + field,
        "twice at first": field + field + rest,
        "corrected": PLAIN + trace_id(trace + 100) + rest + field,
        "long-winded": LONG_WINDED + trace_id(trace) + rest,
    }[form]


FORMS = st.sampled_from(["first", "first", "first", "last", "twice", "twice at first", "corrected", "long-winded"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.lists(st.lists(st.tuples(st.integers(1, 3), FORMS), min_size=1, max_size=4), min_size=1, max_size=4))
def test_a_span_comes_back_as_its_sender_wrote_it(path: Path, batches: list[list[tuple[int, str]]]) -> None:
    path.unlink(missing_ok=True)
    store = SqliteStore(path)
    expected: dict[int, list[bytes]] = {}
    number = 0
    for batch in batches:
        bodies: list[bytes] = []
        for trace, form in batch:
            number += 1
            bodies.append(span_body(trace, number, form))
            expected.setdefault(trace, []).append(bodies[-1])
        scope_spans = b"".join(map(as_spans_field, bodies))
        content = SCOPE_SPANS_TAG + varint(len(scope_spans)) + scope_spans
        store.write([ResourceSpans.FromString(content)], [], (), [content])
    for _ in range(2):
        connection = store._database.writer
        for trace, trace_bodies in expected.items():
            (key,) = connection.execute("SELECT key FROM trace WHERE trace_id = ?", (trace_id(trace),)).fetchone()
            assert [frame for *_, frame in store._spans.frames(connection, key)] == list(
                map(as_spans_field, trace_bodies)
            )
            found = store.trace(trace_id(trace))
            assert found is not None
            spans = [each for part in found.resource_spans for each in part.scope_spans[0].spans]
            assert spans == list(map(Span.FromString, trace_bodies))
        wanted = TraceSearch(0, 2**62, attributes={"number": str(number)})
        assert [each.trace_id for each in store.summaries(wanted)] == [trace_id(batches[-1][-1][0])]
        store.close()
        store = SqliteStore(path)
    store.close()


def test_a_trace_of_more_blocks_than_its_row_says_comes_back_in_order_and_goes_whole(path: Path) -> None:
    now = T0
    retention = Retention(max_age_s=60)
    store = SqliteStore(path, retention, lambda: now)
    written = 2 * MAX_BYTES_IN_ROW + 9
    for number in range(1, written + 1):
        store.write([resource_spans("order", [span(1, number, max(0, number - 1), name=f"call {number}")])], [])
        if number == MAX_BYTES_IN_ROW + 5:  # as a fresh process goes on, too
            store.close()
            store = SqliteStore(path, retention, lambda: now)
    connection = store._database.writer
    ((longest,),) = connection.execute("SELECT length(blocks) FROM trace")
    assert longest <= MAX_BYTES_IN_ROW
    for _ in range(2):
        found = store.trace(trace_id(1))
        assert found is not None
        names = [each.name for part in found.resource_spans for each in part.scope_spans[0].spans]
        assert names == [f"call {number}" for number in range(1, written + 1)]
        assert [(call.parent, call.child, call.count) for call in store.calls(0, 2**62)] == [
            ("order", "order", written - 1)
        ]
        store.close()
        store = SqliteStore(path, retention, lambda: now)
    now += 120 * SECOND
    assert store.expire() == 1
    for table in ("trace_block", "span_block"):
        assert store._database.writer.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0  # our own names
    store.close()
