"""Store files that are damaged, of another version, in use, or at their bound."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from tracelab.chaos.bench import Bench, Process
from tracelab.chaos.experiment import Count, Experiment, at_least, at_most, equal
from tracelab.chaos.sending import SPANS_IN_A_BATCH, Exports, exports, found_whole, looked_up
from tracelab.chaos.small_disk import MEBIBYTE

BATCHES: Final = 50
PAGE_BYTES: Final = 8192
NEWER_VERSION: Final = 99
# What version 5 brought is undone, a trace's blocks in its row and a row for each write, as far as SQL can: a trace is
# said to be in each block that may have it, which readers see for themselves.
AS_VERSION_4: Final = """
BEGIN;
INSERT OR IGNORE INTO trace_block (trace_key, block_id)
  SELECT key, id FROM trace JOIN span_block ON key BETWEEN min_trace_key AND max_trace_key;
ALTER TABLE trace DROP COLUMN blocks;
UPDATE trace SET arrival = (SELECT batch.arrival FROM batch WHERE key BETWEEN first_trace_key AND last_trace_key);
UPDATE log SET arrival = (SELECT batch.arrival FROM batch WHERE log.id BETWEEN first_log_id AND last_log_id);
CREATE INDEX trace_arrival ON trace (arrival);
CREATE INDEX log_arrival ON log (arrival);
DROP TABLE batch;
DROP TABLE metric_exemplar;
DROP TABLE metric_point;
DROP TABLE metric_series;
PRAGMA user_version = 4;
COMMIT;
"""
BOUND_BYTES: Final = 4 * MEBIBYTE
LARGE_BYTES: Final = 64 * 1024
# The write-ahead log stands beside the file until it is folded in.
MOST_FILE_BYTES: Final = 3 * BOUND_BYTES


async def _send(backend: Process, count: int = BATCHES, padding_bytes: int = 0) -> Exports:
    async with exports(backend.address, padding_bytes) as sent:
        await sent.wait_for(lambda: len(sent.acknowledged) >= count)
    return sent


async def damage_the_file(bench: Bench) -> tuple[Count, ...]:
    """Overwrite pages of the store of a stopped backend, and start it again."""
    backend = await bench.backend()
    await _send(backend)
    await bench.stop(backend)
    damaged = await asyncio.to_thread(_overwritten, bench.store)
    await bench.restart(backend)
    kept = [path for path in bench.folder.glob("telemetry.sqlite.damaged-*") if path.read_bytes() == damaged]
    sent = await _send(backend)
    missing, _ = await asyncio.to_thread(looked_up, backend, sent.acknowledged)
    said = [line for line in backend.log_lines() if line["event"] == "store.damaged"]
    return (
        equal("damaged files that are kept as they were", len(kept), 1),
        equal("log lines that say so", len(said), 1),
        Count("acknowledged afterwards", len(sent.acknowledged)),
        equal("of them not there", missing, 0),
    )


def _overwritten(store: Path) -> bytes:
    """Put rubbish in place of every second page but the first; give what the file is now."""
    content = bytearray(store.read_bytes())
    for start in range(PAGE_BYTES, len(content), 2 * PAGE_BYTES):
        content[start : start + PAGE_BYTES] = b"\xa5" * len(content[start : start + PAGE_BYTES])
    store.write_bytes(content)
    return bytes(content)


async def change_the_version(bench: Bench) -> tuple[Count, ...]:
    """Let a stopped backend's store say that it is of a newer version, then make it one of the version before."""
    backend = await bench.backend()
    sent = await _send(backend)
    await bench.stop(backend)
    await asyncio.to_thread(_rewrite, bench.store, f"PRAGMA user_version = {NEWER_VERSION}")
    before = await asyncio.to_thread(_digest, bench.store)
    exit_code, complaint = await bench.refused(backend)
    is_untouched = await asyncio.to_thread(_digest, bench.store) == before
    await asyncio.to_thread(_rewrite, bench.store, AS_VERSION_4)
    await bench.restart(backend)
    sent_to_older = await _send(backend)
    missing, _ = await asyncio.to_thread(looked_up, backend, [*sent.acknowledged, *sent_to_older.acknowledged])
    return (
        equal("newer: exit code of the start", exit_code, 2),
        equal("newer: lines that it said", len(complaint.splitlines()), 1),
        equal("newer: files left as they were", int(is_untouched), 1),
        Count("acknowledged before and after", len(sent.acknowledged) + len(sent_to_older.acknowledged)),
        equal("older: of them not there once it is open again", missing, 0),
    )


def _rewrite(store: Path, script: str) -> None:
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.executescript(script)


def _digest(store: Path) -> str:
    return hashlib.sha256(store.read_bytes()).hexdigest()


async def open_it_twice(bench: Bench) -> tuple[Count, ...]:
    """Start a second backend on a store while senders never pause at the first."""
    backend = await bench.backend()
    async with exports(backend.address) as sent:
        await sent.wait_for(lambda: len(sent.acknowledged) >= BATCHES)
        exit_code, complaint = await bench.refused(backend, ports_of_its_own=True)
        before = len(sent.acknowledged)
        await sent.wait_for(lambda: len(sent.acknowledged) >= before + BATCHES)
    missing, doubled = await asyncio.to_thread(looked_up, backend, sent.acknowledged)
    return (
        equal("exit code of the second", exit_code, 2),
        equal("lines that it said", len(complaint.splitlines()), 1),
        Count("acknowledged by the first", len(sent.acknowledged)),
        equal("refused by the first", sent.refused_count, 0),
        equal("acknowledged and not there", missing, 0),
        equal("spans that are there twice", doubled, 0),
    )


async def reach_the_bound(bench: Bench) -> tuple[Count, ...]:
    """Send several times what a store may hold."""
    backend = await bench.backend("--max-bytes", str(BOUND_BYTES))
    sent = await _send(backend, bench.pick(20, 5) * BOUND_BYTES // LARGE_BYTES, LARGE_BYTES)
    most = max(path.stat().st_size for path in (bench.store, bench.store.with_name(f"{bench.store.name}-wal")))
    counts = await asyncio.to_thread(found_whole, backend, sent.acknowledged)
    whole = [count == SPANS_IN_A_BATCH for count in counts]
    return (
        Count("acknowledged", len(sent.acknowledged)),
        equal("refused", sent.refused_count, 0),
        Count("still there", sum(whole)),
        at_least("dropped, so that the bound was reached", len(counts) - sum(whole), 1),
        equal("there in part", sum(0 < count < SPANS_IN_A_BATCH for count in counts), 0),
        equal("of the newest ten not there", sum(not each for each in whole[-10:]), 0),
        at_most("size of the largest file, MiB", round(most / MEBIBYTE, 1), MOST_FILE_BYTES / MEBIBYTE),
    )


EXPERIMENTS = (
    Experiment(
        "store-damaged",
        "A damaged store is kept as it is, said once, and does not keep the backend from serving.",
        "rubbish in every second page of the file of a stopped backend, and a start on it",
        "with damage not told from other errors, no backend started on the file any more",
        damage_the_file,
    ),
    Experiment(
        "store-version",
        "A store of the version before is taken over whole; one of a newer version is refused and not touched.",
        "starts on a file that says it is newer, and on one without the tables that came last",
        "without the comparison of versions, the newer file was opened and written to",
        change_the_version,
    ),
    Experiment(
        "store-in-use",
        "A store has one backend: a second one is refused, and the first does not notice.",
        "a start on the file of a backend at which 4 senders never pause",
        "without the lock on the file, the second backend served, too",
        open_it_twice,
    ),
    Experiment(
        "store-bound",
        "A store at its bound takes what comes and drops the oldest traces, each whole.",
        "twenty times as much as the store may hold",
        "without the bound, all 327 traces were still there, in more than twice the room",
        reach_the_bound,
    ),
)
