"""The backend's own log lines: JSON, one per event, on standard output or in a file.

They are not sent as telemetry: a backend that reports to itself would never fall silent.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import BinaryIO

import orjson
import structlog

# The last lines are kept through one rotation, so that a long run cannot fill a disk.
MAX_LOG_BYTES = 10 * 1024 * 1024


def configure_logging(log_file: Path | None) -> None:
    """Send structlog and the warnings of libraries to `log_file`, or to standard output. Called by a `main()` only."""
    output = _open(log_file) if log_file else sys.stdout.buffer
    chain: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*chain, structlog.processors.JSONRenderer(serializer=_line)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(output),
    )
    library = logging.StreamHandler(sys.stderr if log_file is None else log_file.open("a", encoding="utf-8"))
    library.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=lambda event, **_: _line(event).decode("utf-8")),
            ],
        )
    )
    logging.basicConfig(handlers=[library], level=logging.WARNING)


def _open(log_file: Path) -> BinaryIO:
    log_file.parent.mkdir(parents=True, exist_ok=True)
    if log_file.exists() and log_file.stat().st_size > MAX_LOG_BYTES:
        log_file.replace(log_file.with_name(log_file.name + ".1"))
    return log_file.open("ab", buffering=0)


def _line(event: object, **_: object) -> bytes:
    return orjson.dumps(event, default=str)
