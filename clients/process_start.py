"""When this process began to load the command line; imported before anything else of ours."""

from __future__ import annotations

import time
from typing import Final

PROCESS_START_S: Final = time.perf_counter()
"""On the clock of `time.perf_counter`, in seconds."""
