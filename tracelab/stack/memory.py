"""How much memory a process uses: at most, and as its share of what several have in common."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import psutil

_SHARE = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def peak_rss_bytes(pid: int) -> int | None:
    """The greatest resident set of a process so far, in bytes; None where it is gone or may not be asked.

    Linux and Windows keep the peak. Elsewhere there is none to read, and the present value stands in for it.
    """
    try:
        if sys.platform == "linux":
            found = _PEAK.search(Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace"))
            if found:
                return int(found[1]) * 1024
        used = psutil.Process(pid).memory_info()
        return int(getattr(used, "peak_wset", used.rss))
    except (psutil.Error, OSError):
        return None


def proportional_set_bytes(pid: int) -> int | None:
    """What a process has resident, in bytes, each page divided by how many processes share it; None where none tells.

    These add up where resident sets do not: processes that were forked have most of their pages in common (proc(5)).
    """
    try:
        found = _SHARE.search(Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii", errors="replace"))
    except OSError:  # gone, of somebody else, or no Linux
        return None
    return int(found[1]) * 1024 if found else None
