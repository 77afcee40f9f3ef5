"""The engine under test: a real Collector and Jaeger named by the environment, else our own backend as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.engine import Engine
from tests.conformance.stored import Stored, store_two_traces
from tests.polling import eventually


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what only our own backend promises, before any fixture sends it, where a real engine is named."""
    if os.environ.get("LAB_OTLP_ENDPOINT") and os.environ.get("LAB_QUERY_URL"):
        for item in items:
            if item.get_closest_marker("ours"):
                item.add_marker(pytest.mark.skip(reason="only our own backend promises this"))


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    otlp, query = os.environ.get("LAB_OTLP_ENDPOINT"), os.environ.get("LAB_QUERY_URL")
    if otlp and query:
        http = otlp.replace(":4317", ":4318") if ":4317" in otlp else None
        with Engine(otlp.removeprefix("http://"), http, query, is_ours=False) as real:
            yield real
        return
    folder = tmp_path_factory.mktemp("backend")
    with (
        _backend(folder) as addresses,
        Engine(
            addresses["otlp_grpc"], f"http://{addresses['otlp_http']}", f"http://{addresses['query']}", is_ours=True
        ) as ours,
    ):
        yield ours


@pytest.fixture
def http(engine: Engine) -> Engine:
    if engine.otlp_http is None:
        pytest.skip("LAB_OTLP_ENDPOINT does not name port 4317, so the port of OTLP/HTTP is not known")
    return engine


@pytest.fixture(scope="session")
def stored(engine: Engine) -> Stored:
    return store_two_traces(engine)


@pytest.fixture(autouse=True)
def only_what_the_engine_still_answers(request: pytest.FixtureRequest, engine: Engine) -> None:
    if request.node.get_closest_marker("dropped_after_2_20") and not engine.has_dropped_paths:
        pytest.skip("this Jaeger is newer than 2.20 and has dropped it")


class _backend:  # noqa: N801  # reads as a function where it is used
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> dict[str, str]:
        ready, output = self._folder / "ready.json", self._folder / "output.txt"
        arguments = [sys.executable, "-m", "otel.backend", "--store", str(self._folder / "store.sqlite")]
        arguments += ["--ready-file", str(ready), "--otlp-grpc-port", "0", "--otlp-http-port", "0", "--query-port", "0"]
        with output.open("wb") as file:
            self._process = subprocess.Popen(arguments, stdout=file, stderr=subprocess.STDOUT)
        try:
            eventually(ready.exists, within_s=30)
        except AssertionError:
            self.__exit__()
            raise AssertionError(f"the backend did not start: {output.read_text()}") from None
        addresses: dict[str, str] = json.loads(ready.read_text())["addresses"]
        return addresses

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
