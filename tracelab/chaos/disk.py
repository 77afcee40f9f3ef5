"""A backend whose disk is full for a while, and one that may not write at all."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from tracelab.chaos.bench import Bench, BenchError, Process
from tracelab.chaos.experiment import Count, Experiment, at_least, equal
from tracelab.chaos.sending import Exports, exports, looked_up, queries_answer
from tracelab.chaos.small_disk import MEBIBYTE, SmallDisk, bound_files

DISK_BYTES: Final = 8 * MEBIBYTE
FULL_FILE_BYTES: Final = 2 * MEBIBYTE
REFUSALS: Final = 20
LARGE_BYTES: Final = 64 * 1024


async def fill_the_disk(bench: Bench) -> tuple[Count, ...]:
    """Send until nothing fits, ask meanwhile, make room, send again, kill, and look for what was acknowledged."""
    disk = await asyncio.to_thread(SmallDisk, bench.folder / "disk", DISK_BYTES)
    try:
        backend = await bench.backend(store=disk.folder / "telemetry.sqlite")
        if not (disk.is_mounted or sys.platform == "linux"):
            raise BenchError("no disk can be filled here: neither may one be mounted, nor can files be bounded")
        if not disk.is_mounted:
            bound_files(backend.child.pid, FULL_FILE_BYTES)
        async with exports(backend.address, LARGE_BYTES) as sent:
            await sent.wait_for(lambda: sent.refused_count >= REFUSALS)
            answered_while_full = await asyncio.to_thread(queries_answer, backend)
            before = len(sent.acknowledged)
            await asyncio.to_thread(disk.make_room) if disk.is_mounted else bound_files(backend.child.pid, None)
            await sent.wait_for(lambda: len(sent.acknowledged) > before)
        after = len(sent.acknowledged) - before
        await bench.kill(backend)
        await bench.restart(backend)
        return await _of_exports(backend, sent, answered_while_full, after)
    finally:
        bench.close()
        await asyncio.to_thread(disk.close)


async def _of_exports(backend: Process, sent: Exports, answered_while_full: bool, after: int) -> tuple[Count, ...]:
    missing, doubled = await asyncio.to_thread(looked_up, backend, sent.acknowledged)
    return (
        Count("batches sent", sent.sent_count),
        Count("acknowledged", len(sent.acknowledged)),
        at_least("refused with UNAVAILABLE, to be sent again", sent.codes["UNAVAILABLE"], REFUSALS),
        equal("refused otherwise", sent.refused_count - sent.codes["UNAVAILABLE"], 0),
        equal("questions answered while it was full", int(answered_while_full), 1),
        at_least("acknowledged once there was room, without a restart", after, 1),
        equal("acknowledged and not there after a kill", missing, 0),
        equal("spans that are there twice", doubled, 0),
    )


async def forbid_writing(bench: Bench) -> tuple[Count, ...]:
    """Make the disk of a store read-only while no backend runs, start one, and make it writable again."""
    disk = await asyncio.to_thread(SmallDisk, bench.folder / "disk", DISK_BYTES)
    try:
        backend = await bench.backend(store=disk.folder / "telemetry.sqlite")
        async with exports(backend.address) as sent:
            await sent.wait_for(lambda: len(sent.acknowledged) >= REFUSALS)
        await bench.stop(backend)
        if not await asyncio.to_thread(disk.forbid_writing):
            return (Count("not run: a disk of its own may not be mounted here", 0),)
        exit_code, complaint = await bench.refused(backend)
        await asyncio.to_thread(disk.allow_writing)
        await bench.restart(backend)
        missing, _ = await asyncio.to_thread(looked_up, backend, sent.acknowledged)
        return (
            equal("exit code of the start", exit_code, 2),
            equal("lines that it said", len(complaint.splitlines()), 1),
            equal("of them, those that name what may not be written", int("cannot be" in complaint), 1),
            Count("acknowledged before", len(sent.acknowledged)),
            equal("of them not there afterwards", missing, 0),
        )
    finally:
        bench.close()
        await asyncio.to_thread(disk.close)


EXPERIMENTS = (
    Experiment(
        "disk-full",
        "A full disk loses nothing that was acknowledged: what does not fit is refused, to be sent again.",
        "senders who never pause at a backend on a disk of 8 MiB, half of it taken; then the other half is freed",
        "with a full disk taken for a fault of our own, all 20 refusals were INTERNAL, which no exporter sends again",
        fill_the_disk,
    ),
    Experiment(
        "disk-read-only",
        "A store that may not be written is refused at the start in one sentence, and left as it is.",
        "a start on a disk that has become read-only, and another once it may be written again",
        "with the failure to lock not caught, the start ended in a traceback of 35 lines and with exit code 1",
        forbid_writing,
    ),
)
