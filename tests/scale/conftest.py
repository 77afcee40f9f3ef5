"""The engines and services of tests/scale, started once for all its tests, and what these counted, told at the end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel.query import TraceQuery
from tests.postgres_server import PostgresServer
from tests.scale.cluster import Cluster
from tests.scale.counting import KEEP_PERCENT, logs_by_ending, spans_by_ending, stored_when_settled
from tests.scale.engines import fetched
from tests.scale.load import Load, a_user_with_orders, call_reports
from tests.scale.promises import Bench, wait_until_agents_are_read
from tests.scale.replicas import Replicas
from tests.scale.told import Told

# Read before any fixture takes variables away.
CACHE = Path(os.environ.get("SCALE_CACHE") or Path.home() / ".cache" / "grpc-trace-lab")
REPORT = os.environ.get("SCALE_REPORT", "")
KEPT_FOLDER = os.environ.get("SCALE_FOLDER", "")
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LAB_"))}


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Everything that a run leaves, removed at its end; in SCALE_FOLDER it is kept, for what the engines said."""
    if KEPT_FOLDER:
        Path(KEPT_FOLDER).mkdir(parents=True)
        yield Path(KEPT_FOLDER)
        return
    with tempfile.TemporaryDirectory(prefix="lab-scale-") as made:
        yield Path(made)


@pytest.fixture(scope="session")
def cluster(folder: Path) -> Iterator[Cluster]:
    engines = fetched(CACHE, ENVIRON)
    made = Cluster(engines, folder, ENVIRON)
    begun_s = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a run that is asked to end ends its engines too
    with made.started():
        wait_until_agents_are_read(made)
        print(f"\nengines up after {time.monotonic() - begun_s:.0f} s: {', '.join(made.processes)}")
        yield made


@pytest.fixture(scope="session")
def replicas(cluster: Cluster, postgres: PostgresServer, folder: Path) -> Iterator[Replicas]:
    made = Replicas(cluster, postgres.url, folder, {"PATH": ENVIRON["PATH"]})
    with made.started():
        yield made


@pytest.fixture(scope="session")
def user_id(replicas: Replicas) -> str:
    return asyncio.run(a_user_with_orders(replicas.addresses("user")[0], replicas.addresses("order")[0]))


@pytest.fixture(scope="session")
def query(cluster: Cluster) -> Iterator[TraceQuery]:
    """The second Jaeger's and the second log node's answers; the first ones are those that are killed."""
    with TraceQuery(cluster.query_url(2), cluster.log_url(2), timeout_s=30) as made:
        yield made


@pytest.fixture(scope="session")
def bench(cluster: Cluster, replicas: Replicas, query: TraceQuery, user_id: str) -> Bench:
    """All of it, with how many spans and log records a call has: learned from calls that the rule keeps."""
    addresses, warming, calibration = replicas.addresses("report"), Load(), Load()
    asyncio.run(call_reports(addresses, user_id, 40, warming))  # first calls connect, and may be tried twice
    asyncio.run(call_reports(addresses, user_id, 20, calibration, percent_of_share=KEEP_PERCENT))
    stored_when_settled(query, calibration.calls, None)
    spans, logs = spans_by_ending(query, calibration.calls), logs_by_ending(query, calibration.calls)
    return Bench(cluster, replicas, query, user_id, spans, logs)


@pytest.fixture(scope="session")
def told() -> Iterator[Told]:
    made = Told()
    yield made
    print(f"\n{made.text()}")
    if REPORT:
        Path(REPORT).write_text(json.dumps(made.document(), indent=2), encoding="utf-8")
