"""Log records as they lie in their rows: each comes back equal in every field, whatever it says."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel.backend.stores.sqlite import log_packing
from otel.backend.stores.sqlite.log_packing import INT64_MAX, LogPacking
from tests.contract.telemetry import log_record, pairs

TRACE_ID, SPAN_ID = b"trace-id-in-text", b"span-id!"
# A text that says what the record's own two fields say.
MISLEADING = "J\x10" + TRACE_ID.decode() + "R\x08" + SPAN_ID.decode()


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:")
    made.execute("CREATE TABLE log_dictionary (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    made.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, record BLOB NOT NULL)")
    yield made
    made.close()


@pytest.fixture
def packing(connection: sqlite3.Connection) -> LogPacking:
    """One that has a dictionary already."""
    made = LogPacking()
    made.load(connection)
    for number in range(400):
        made.pack(connection, log_record(f"line {number} of many").SerializeToString(deterministic=True), b"", b"")
    return made


def round_trip(packing: LogPacking, connection: sqlite3.Connection, record: LogRecord) -> tuple[bytes, LogRecord]:
    body = record.SerializeToString(deterministic=True)
    packed = packing.pack(connection, body, record.trace_id, record.span_id)
    time = min(record.time_unix_nano or record.observed_time_unix_nano, INT64_MAX)
    read = packing.unpack(connection, packed, time, record.trace_id or None, record.span_id or None)
    return packed, LogRecord.FromString(read)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    time=st.sampled_from([0, 1, INT64_MAX, INT64_MAX + 1, 2**64 - 1]),
    observed=st.sampled_from([0, 5]),
    trace_id=st.sampled_from([b"", TRACE_ID]),
    span_id=st.sampled_from([b"", SPAN_ID]),
    text=st.one_of(st.text(max_size=20), st.just(MISLEADING)),
    event_name=st.sampled_from(["", "event", MISLEADING]),
    flags=st.sampled_from([0, 1]),
)
def test_a_record_comes_back_as_it_was(
    packing: LogPacking,
    connection: sqlite3.Connection,
    time: int,
    observed: int,
    trace_id: bytes,
    span_id: bytes,
    text: str,
    event_name: str,
    flags: int,
) -> None:
    record = LogRecord(
        time_unix_nano=time,
        observed_time_unix_nano=observed,
        trace_id=trace_id,
        span_id=span_id,
        event_name=event_name,
        flags=flags,
        attributes=pairs({"key": text}),
    )
    record.body.string_value = text
    assert round_trip(packing, connection, record)[1] == record


def test_a_record_takes_less_than_half_of_its_room(packing: LogPacking, connection: sqlite3.Connection) -> None:
    record = log_record("line 7 of many", trace=7, number=8)
    packed, read = round_trip(packing, connection, record)
    assert read == record
    assert len(packed) < record.ByteSize() / 2


def test_an_empty_record_comes_back(packing: LogPacking, connection: sqlite3.Connection) -> None:
    assert round_trip(packing, connection, LogRecord())[1] == LogRecord()
    assert packing.unpack(connection, b"", 0, None, None) == b""


def test_dictionaries_are_renewed_and_the_old_ones_read_and_dropped_with_their_last_record(
    packing: LogPacking, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = log_record("the first", trace=1, number=1)
    first, _ = round_trip(packing, connection, record)
    monkeypatch.setattr(log_packing, "BYTES_PER_DICTIONARY", 1)
    last, _ = round_trip(packing, connection, log_record("the last"))
    again = LogPacking()
    again.load(connection)
    read = again.unpack(connection, first, record.time_unix_nano, record.trace_id, record.span_id)
    assert LogRecord.FromString(read) == record
    connection.executemany("INSERT INTO log (id, record) VALUES (?, ?)", [(1, first), (2, last)])
    again.drop_unused(connection)
    assert connection.execute("SELECT count(*) FROM log_dictionary").fetchone()[0] > 1
    connection.execute("DELETE FROM log WHERE id = 1")
    again.drop_unused(connection)
    assert connection.execute("SELECT count(*) FROM log_dictionary").fetchone()[0] == 1
    assert LogRecord.FromString(again.unpack(connection, last, 0, None, None)).body.string_value == "the last"
