"""Finds and stops processes that another command started, by the record that it left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psutil

from clients.discovery.defaults import BACKEND
from clients.discovery.living import find_process, lives
from clients.discovery.stack_record import ProcessRecord, read_record, remove_processes
from tracelab.stack.child_process import ask_to_stop
from tracelab.stack.stack import STOP_BOUND_S


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
    _, still_there = psutil.wait_procs(found, timeout=bound_s)
    for running in still_there:
        running.kill()
    psutil.wait_procs(still_there, timeout=bound_s)
