"""Finds and stops processes that another command started, by the record that it left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psutil

from clients.stack.child import ask_to_stop
from clients.stack.commands import MODULES
from clients.stack.options import BACKEND
from clients.stack.record import ProcessRecord, read_record, remove_processes
from clients.stack.stack import STOP_BOUND_S


def lives(process: ProcessRecord) -> bool:
    """Whether the recorded process still runs: that pid, and that program, since pids are used again."""
    return _found(process) is not None


def command_line_of(process: ProcessRecord) -> tuple[str, ...]:
    """The words that a recorded process was started with; none where it is gone."""
    found = _found(process)
    try:
        return tuple(found.cmdline()) if found else ()
    except psutil.Error:
        return ()


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


def _found(process: ProcessRecord) -> psutil.Process | None:
    try:
        found = psutil.Process(process.pid)
        runs = found.status() != psutil.STATUS_ZOMBIE and MODULES.get(process.name) in found.cmdline()
    except psutil.Error:
        return None
    return found if runs else None


def _stop(processes: Sequence[ProcessRecord], bound_s: float) -> None:
    found = [running for running in map(_found, processes) if running is not None]
    for running in found:
        ask_to_stop(running.pid)
    _, still_there = psutil.wait_procs(found, timeout=bound_s)
    for running in still_there:
        running.kill()
    psutil.wait_procs(still_there, timeout=bound_s)
