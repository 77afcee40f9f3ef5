"""Which recorded processes still run. Loads psutil, so it is imported where there is a record to ask about."""

from __future__ import annotations

import psutil

from clients.discovery.defaults import MODULES
from clients.discovery.stack_record import ProcessRecord


def lives(process: ProcessRecord) -> bool:
    """Whether the recorded process still runs: that pid, and that program, since pids are used again."""
    return find_process(process) is not None


def command_line_of(process: ProcessRecord) -> tuple[str, ...]:
    """The words that a recorded process was started with; none where it is gone."""
    found = find_process(process)
    try:
        return _words(found) if found else ()
    except psutil.Error:
        return ()


def find_process(process: ProcessRecord) -> psutil.Process | None:
    """The process of a record, if it runs and is that program."""
    try:
        found = psutil.Process(process.pid)
        runs = found.status() != psutil.STATUS_ZOMBIE and MODULES.get(process.name) in _words(found)
    except psutil.Error:
        return None
    return found if runs else None


def _words(found: psutil.Process) -> tuple[str, ...]:
    """Split a command line at spaces too: a process that was forked has given itself the whole of it as a title."""
    return tuple(word for part in found.cmdline() for word in part.split())
