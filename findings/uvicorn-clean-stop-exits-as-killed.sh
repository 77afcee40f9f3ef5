#!/usr/bin/env bash
# uvicorn: after SIGTERM it finishes its requests, runs the application's shutdown, says so, and then dies of the signal; the
# exit status is that of a killed process (143 to a shell). After SIGINT the very same shutdown exits with 0.
# A guess: 0 for a clean stop, so that a supervisor can tell it from a crash.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install -q --disable-pip-version-check uvicorn==0.54.0
cat >application.py <<'PY'
async def application(scope, receive, send):
    while scope["type"] == "lifespan":
        event = (await receive())["type"]
        if event == "lifespan.shutdown":
            print("the application has shut down", flush=True)
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return
PY
cat >main.py <<'PY'
import platform
import signal
import subprocess
import sys

import uvicorn

print(f"versions: uvicorn {uvicorn.__version__}, Python {platform.python_version()}")
seen = {}
command = [sys.executable, "-m", "uvicorn", "application:application", "--host", "127.0.0.1", "--port", "0"]
for number in (signal.SIGTERM, signal.SIGINT):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        if "running on" in line:
            process.send_signal(number)
            break
    output = process.communicate(timeout=20)[0]
    seen[number] = ("has shut down" in output and "Finished server process" in output, process.returncode)
    print(f"{number.name}: shut down cleanly {seen[number][0]}, exit status {process.returncode}")
print("guess: 0 and 0")
print("behavior: the signal is raised again after the shutdown; -15 here, 143 in a shell, 'failed' to a strict supervisor")
assert seen == {signal.SIGTERM: (True, -signal.SIGTERM), signal.SIGINT: (True, 0)}, "the behavior has changed"
PY
timeout 60 venv/bin/python main.py
