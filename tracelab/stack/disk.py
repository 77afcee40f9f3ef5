"""Whether there is room where a stack writes: without it processes fail in ways that point elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

LEAST_FREE_BYTES: Final = 64 * 1024  # less than one write of the store's journal may need
SPACE_HINT: Final = "free some space, or name another folder with LAB_HOME or another file with --store"


def lack_of_space(folder: Path) -> str:
    """Say that the disk of `folder` is full; "" where it is not, or can't be asked."""
    try:
        free_bytes = shutil.disk_usage(folder).free
    except OSError:
        return ""
    return f"no space left on the disk of {folder} ({free_bytes} bytes free)" if free_bytes < LEAST_FREE_BYTES else ""
