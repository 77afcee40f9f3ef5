"""What processes wrote into their own log files: the other side of every claim about the logs that a backend has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path


def count_log_lines(files: Iterable[Path], trace_id: str) -> int:
    """Count the lines of these log files, rotated ones too, whose `trace_id` is this one."""
    needle = trace_id.encode()
    count = 0
    for file in files:
        for part in _with_rotated(file):
            with part.open("rb") as lines:
                count += sum(needle in line and _trace_id_of(line) == trace_id for line in lines)
    return count


def _with_rotated(file: Path) -> list[Path]:
    rotated = re.compile(re.escape(file.name) + r"(\.\d+)?")
    return [path for path in sorted(file.parent.glob(f"{file.name}*")) if rotated.fullmatch(path.name)]


def _trace_id_of(line: bytes) -> str:
    try:
        fields = json.loads(line)
    except ValueError:
        return ""
    return str(fields.get("trace_id", "")) if isinstance(fields, dict) else ""
