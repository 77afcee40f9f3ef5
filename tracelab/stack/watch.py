"""Keeps a stack in the foreground."""

from __future__ import annotations

import sys
import time
from typing import Final

from tracelab.stack.stack import Stack

WATCH_INTERVAL_S: Final = 0.25


def watch(stack: Stack) -> None:
    """Keep a stack until Ctrl-C; raises the error of a process that ended by itself."""
    try:
        while (died := stack.died()) is None:
            time.sleep(WATCH_INTERVAL_S)
        raise died
    except KeyboardInterrupt:
        names = ", ".join(process.name for process in stack.processes)
        print(f"\nstopping {names}; Ctrl-C again stops at once", file=sys.stderr, flush=True)
        raise
