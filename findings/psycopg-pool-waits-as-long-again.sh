#!/usr/bin/env bash
# While a database is gone, psycopg's pool connects after 1, 2, 4, ... seconds, with no bound below five minutes, however many
# calls wait for a connection meanwhile: after an outage of a minute, calls fail for up to another minute.
# A guess: a call that finds the pool empty makes it connect, or the wait is bounded by a few seconds.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install -q --disable-pip-version-check "psycopg[binary]==3.3.9" psycopg-pool==3.3.3
cat >main.py <<'PY'
import logging
import socket
import threading
import time
from importlib.metadata import version

from psycopg_pool import ConnectionPool, PoolTimeout

logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
attempts = []


def hang_up(listener):
    """What stands in front of a database that is gone: it takes each connection and closes it."""
    while True:
        connection, _ = listener.accept()
        attempts.append(time.monotonic())
        connection.close()


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=hang_up, args=(listener,), daemon=True).start()
pool = ConnectionPool(
    f"postgresql://a@127.0.0.1:{listener.getsockname()[1]}/a?sslmode=disable&gssencmode=disable",
    min_size=1, max_size=10, timeout=0.25, open=True,
)
failed = 0
end = time.monotonic() + 10
while time.monotonic() < end:
    try:
        with pool.connection():
            pass
    except PoolTimeout:
        failed += 1
print(f"versions: psycopg {version('psycopg')}, psycopg-pool {version('psycopg-pool')}, its reconnect_timeout of {pool.reconnect_timeout:.0f} s")
print("guess: an attempt for each call that finds the pool empty, or at least one every few seconds")
seen = ", ".join(f"{at - attempts[0]:.1f}" for at in attempts)
print(f"behavior: {failed} calls waited in vain in 10 s; attempts to connect: {len(attempts)}, at {seen} s")
pool.close(timeout=1)
raise SystemExit(not (failed >= 25 and len(attempts) <= 10))
PY
timeout 60 venv/bin/python main.py
