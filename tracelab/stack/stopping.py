"""Finds and stops processes that another command started, by the record that it left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil

from clients.discovery.defaults import BACKEND
from clients.discovery.living import find_process, lives
from clients.discovery.stack_record import ProcessRecord, read_record, remove_processes
from tracelab.stack.child_process import ask_to_stop
from tracelab.stack.stack import STOP_BOUND_S

_POLL_S: Final = 0.01


def stop_recorded(stack_file: Path, bound_s: float = STOP_BOUND_S) -> tuple[ProcessRecord, ...]:
    """Stop the recorded processes, the services before the backend, and forget them; gives those that were stopped."""
    record = read_record(stack_file)
    if record is None:
        return ()
    living = [process for process in record.processes if lives(process)]
    _stop([process for process in living if process.name != BACKEND], bound_s)
    _stop([process for process in living if process.name == BACKEND], bound_s)
    remove_processes(stack_file, [process.pid for process in record.processes])
    return tuple(living)


def _stop(processes: Sequence[ProcessRecord], bound_s: float) -> None:
    found = [running for running in map(find_process, processes) if running is not None]
    for running in found:
        ask_to_stop(running.pid)
    for running in _still_running(found, bound_s):
        running.kill()
    _still_running(found, bound_s)


def _still_running(processes: Sequence[psutil.Process], bound_s: float) -> list[psutil.Process]:
    """Wait, at most `bound_s`, for their end; give those that go on.

    Who has ended and was not waited for stays a zombie until its parent waits, which the first process of a container
    may never do.
    """
    deadline_s = time.monotonic() + bound_s
    while (running := [process for process in processes if _runs(process)]) and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
    return running


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
