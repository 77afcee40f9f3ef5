"""How much memory a process has used at most."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import psutil

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
