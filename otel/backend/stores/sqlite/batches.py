"""When traces and log records arrived: a row for each write, which says what it brought as ranges of keys and ids.

Both grow in the order of arrival and none comes again while a row names it, so a time for each trace and each record,
and an index on them, would say the same many times over. The writer's thread only, but for the functions that ask.
"""

from __future__ import annotations

import sqlite3

ITS_TRACES = "trace.key BETWEEN first_trace_key AND last_trace_key"
ITS_LOGS = "log.id BETWEEN first_log_id AND last_log_id"
# A cross join is done in the order in which it is written, and the index on arrival gives the order asked for.
TRACES_IN_ORDER = f"FROM batch CROSS JOIN trace ON {ITS_TRACES}"
LOGS_IN_ORDER = f"FROM batch CROSS JOIN log ON {ITS_LOGS}"


class Batches:
    """What comes next, and the rows."""

    def __init__(self) -> None:
        self.highest_trace_key = 0
        self.next_log_id = 1

    def load(self, connection: sqlite3.Connection) -> None:
        """Learn which keys and ids were given, also to what has gone since."""
        trace_key, log_id = connection.execute("SELECT max(last_trace_key), max(last_log_id) FROM batch").fetchone()
        highest_log_id = connection.execute("SELECT max(id) FROM log").fetchone()[0]
        self.highest_trace_key = trace_key or 0
        self.next_log_id = max(log_id or 0, highest_log_id or 0) + 1

    def note(self, connection: sqlite3.Connection, arrival_unix_nano: int, trace_keys: range, log_count: int) -> None:
        """Note what one write brought that was not there before; its log records have the ids from the next one on."""
        if not trace_keys and not log_count:
            return
        first_log_id = self.next_log_id
        self.next_log_id += log_count
        traces = (trace_keys[0], trace_keys[-1]) if trace_keys else (None, None)
        logs = (first_log_id, self.next_log_id - 1) if log_count else (None, None)
        connection.execute(
            "INSERT INTO batch (arrival, first_trace_key, last_trace_key, first_log_id, last_log_id)"
            " VALUES (?, ?, ?, ?, ?)",
            (arrival_unix_nano, *traces, *logs),
        )


def traces_before(
    connection: sqlite3.Connection, horizon_unix_nano: int, limit: int
) -> list[tuple[int, bytes, bytes, int]]:
    """Return key, id, blocks and arrival of the traces that arrived first, before the horizon."""
    return connection.execute(
        f"SELECT key, trace_id, blocks, batch.arrival {TRACES_IN_ORDER} WHERE batch.arrival < ?"  # ours
        " ORDER BY batch.arrival, batch.id, key LIMIT ?",
        (horizon_unix_nano, limit),
    ).fetchall()


def lone_logs_before(connection: sqlite3.Connection, horizon_unix_nano: int, limit: int) -> list[tuple[int, int]]:
    """Return id and arrival of the log records without a stored trace that arrived first, before the horizon."""
    return connection.execute(
        f"SELECT log.id, batch.arrival {LOGS_IN_ORDER} WHERE batch.arrival < ?"  # noqa: S608  # ours
        " AND (trace_id IS NULL OR NOT EXISTS (SELECT 1 FROM trace WHERE trace.trace_id = log.trace_id))"
        " ORDER BY batch.arrival, batch.id, log.id LIMIT ?",
        (horizon_unix_nano, limit),
    ).fetchall()


def last_arrival_of_first(connection: sqlite3.Connection, trace_count: int, log_count: int) -> list[int]:
    """Return when the last of so many first traces arrived, and the last of so many log records, if there are any."""
    found = [
        connection.execute(
            f"SELECT max(arrival) FROM (SELECT batch.arrival {source} ORDER BY batch.arrival LIMIT ?)",  # noqa: S608
            (count,),
        ).fetchone()[0]
        for source, count in ((TRACES_IN_ORDER, trace_count), (LOGS_IN_ORDER, log_count))
    ]
    return [arrival for arrival in found if arrival is not None]


def oldest_trace_arrival(connection: sqlite3.Connection) -> int:
    """Return when the first of the traces arrived; 0 where there is none."""
    row = connection.execute(f"SELECT batch.arrival {TRACES_IN_ORDER} ORDER BY batch.arrival LIMIT 1").fetchone()
    return int(row[0]) if row else 0


def drop_empty(connection: sqlite3.Connection, last_arrival_unix_nano: int) -> None:
    """Drop the rows, up to an arrival, of which nothing is left."""
    connection.execute(
        "DELETE FROM batch WHERE arrival <= ?"  # noqa: S608  # our own names
        f" AND NOT EXISTS (SELECT 1 FROM trace WHERE {ITS_TRACES}) AND NOT EXISTS (SELECT 1 FROM log WHERE {ITS_LOGS})",
        (last_arrival_unix_nano,),
    )
