#!/usr/bin/env bash
# OpenTelemetry Python: a span left by cancelling its task, by sys.exit or by Ctrl-C has status UNSET and no event, like one
# that went well; an ordinary exception is recorded and makes it ERROR. A guess: what leaves the block is recorded.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check opentelemetry-sdk==1.45.2
timeout 60 "$work/venv/bin/python" - <<'PY'
import asyncio
import platform

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.version import __version__

tracer, spans = TracerProvider().get_tracer("finding"), {}


def leave_by(error):
    try:
        with tracer.start_as_current_span(type(error).__name__) as spans[type(error).__name__]:
            raise error
    except BaseException:
        pass


async def cancel_a_task():
    async def work():
        with tracer.start_as_current_span("a cancelled task") as spans["a cancelled task"]:
            await asyncio.sleep(20)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])


leave_by(ValueError("no"))
leave_by(SystemExit(1))
leave_by(KeyboardInterrupt())
asyncio.run(cancel_a_task())
print(f"versions: opentelemetry-sdk {__version__}, Python {platform.python_version()}")
seen = {name: (span.status.status_code.name, len(span.events)) for name, span in spans.items()}
for name, (status, events) in seen.items():
    print(f"left by {name:<18}: status {status}, {events} events")
print("guess: ERROR and one event, four times")
print("behavior: of the four only the exception shows; what was cut short looks like what went well")
assert seen.pop("ValueError") == ("ERROR", 1) and set(seen.values()) == {("UNSET", 0)}, "the behavior has changed"
PY
