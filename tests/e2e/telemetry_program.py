"""A process with telemetry of its own, started by test_telemetry_export.py: some spans and logs, then a clean end.

Prints one JSON object at its end: how long the work and the shutdown took, in seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time

import structlog

from otel.instrument import TelemetrySettings, configure


def main() -> None:
    """Work as the first argument says: `shutdown` closes telemetry itself, `exit` leaves that to the interpreter."""
    how, count, quiet = sys.argv[1], int(sys.argv[2]), "quiet" in sys.argv[3:]
    settings = TelemetrySettings.from_environ("program", os.environ, quiet_export=quiet)
    telemetry = configure(settings)
    log = structlog.get_logger()
    began_s = time.monotonic()
    for number in range(count):
        with telemetry.tracer.start_as_current_span("work"):
            log.debug("work.counted", number=number)
            if number % 100 == 0:
                log.info("work.done", number=number)
    worked_s = time.monotonic() - began_s
    if how == "shutdown":
        telemetry.shutdown()
    print(json.dumps({"worked_s": worked_s, "ended_s": time.monotonic() - began_s - worked_s}), file=sys.stderr)


if __name__ == "__main__":
    main()
