"""What goes when a store is past its bounds: the traces that arrived first, whole, with their logs, and points.

Time of arrival decides, not the time in the spans: what comes from a wrong clock, or is old and was sent today, must
not be dropped at once. Each step is a transaction of bounded size, so that writes are never held up for long.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from otel.backend.stores.sqlite.batches import drop_empty, last_arrival_of_first, lone_logs_before, traces_before
from otel.backend.stores.sqlite.log_packing import LogPacking
from otel.backend.stores.sqlite.log_rows import delete_logs
from otel.backend.stores.sqlite.metric_rows import SeriesTable, expire_points, next_point_horizon
from otel.backend.stores.sqlite.names import Names
from otel.backend.stores.sqlite.older_pieces import OlderPieces
from otel.backend.stores.sqlite.segment_list import InFile, SegmentList
from otel.backend.stores.sqlite.trace_blocks import all_blocks

# One step drops at most so many traces, and so many logs that belong to none of them.
TRACES_PER_STEP = 1_000
LOGS_PER_STEP = 5_000


@dataclass(frozen=True, slots=True)
class Expired:
    """What one step dropped."""

    trace_ids: tuple[bytes, ...]
    log_count: int
    point_count: int
    segments: tuple[InFile, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to drop."""
        return not (self.trace_ids or self.log_count or self.point_count)


def next_horizons(connection: sqlite3.Connection) -> list[int]:
    """Return the arrivals before which the next step drops, for a store past its bytes; none where it is empty.

    The first of them that has something to drop is the one: records that came before their traces stay with these.
    """
    ends = last_arrival_of_first(connection, TRACES_PER_STEP, LOGS_PER_STEP)
    point_end = next_point_horizon(connection)
    if point_end is not None:
        ends.append(point_end)
    return [end + 1 for end in sorted(ends)]


def expire_before(
    connection: sqlite3.Connection,
    horizon_unix_nano: int,
    segments: SegmentList,
    older: OlderPieces,
    names: Names,
    series: SeriesTable,
    packing: LogPacking,
) -> Expired:
    """Drop what arrived before the horizon, at most one step of it, inside the caller's transaction."""
    rows = traces_before(connection, horizon_unix_nano, TRACES_PER_STEP)
    log_ids: list[int] = []
    block_ids: list[int] = []
    for key, trace_id, blocks, _ in rows:
        log_ids += [row[0] for row in connection.execute("SELECT id FROM log WHERE trace_id = ?", (trace_id,))]
        older.delete(connection, key)
        in_table = connection.execute("SELECT block_id FROM trace_block WHERE trace_key = ?", (key,))
        block_ids += all_blocks((row[0] for row in in_table), blocks)
        connection.execute("DELETE FROM trace_block WHERE trace_key = ?", (key,))
        connection.execute("DELETE FROM trace WHERE key = ?", (key,))
    _drop_blocks(connection, max(block_ids, default=0))
    lone_logs = lone_logs_before(connection, horizon_unix_nano, LOGS_PER_STEP)
    log_ids += [log_id for log_id, _ in lone_logs]
    delete_logs(connection, list(dict.fromkeys(log_ids)), packing)
    # No further than this step came: what is looked at again by every step would add up.
    arrivals = [*(arrival for *_, arrival in rows), *(arrival for _, arrival in lone_logs)]
    drop_empty(connection, max(arrivals, default=horizon_unix_nano))
    first_key = connection.execute("SELECT min(key) FROM trace").fetchone()[0]
    gone = segments.drop_expired(connection, first_key if first_key is not None else 2**62)
    if gone:
        _drop_dictionaries(connection, older)
    point_count = expire_points(connection, horizon_unix_nano, series)
    names.forget_before(connection, horizon_unix_nano)
    return Expired(tuple(row[1] for row in rows), len(log_ids), point_count, tuple(gone))


def _drop_blocks(connection: sqlite3.Connection, last_block_id: int) -> None:
    """Drop rows of blocks, up to one, that no trace is left in; a row goes with the last of its traces."""
    connection.execute(
        "DELETE FROM span_block WHERE id <= ? AND NOT EXISTS"
        " (SELECT 1 FROM trace WHERE key BETWEEN min_trace_key AND max_trace_key)",
        (last_block_id,),
    )


def _drop_dictionaries(connection: sqlite3.Connection, older: OlderPieces) -> None:
    """Drop compression dictionaries that nothing uses any more: they grow in the order of blocks, after all pieces."""
    oldest_id = older.oldest_dictionary_id(connection)
    if oldest_id is None:
        row = connection.execute("SELECT dictionary_id FROM span_block ORDER BY id LIMIT 1").fetchone()
        oldest_id = row[0] if row else None
    if oldest_id is not None:
        connection.execute("DELETE FROM compression_dictionary WHERE id < ?", (oldest_id,))
