"""What every test may rely on: no OTEL_* or LAB_* from outside, no active span, logs configured afresh."""

from __future__ import annotations

import gc
import importlib
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import structlog
from hypothesis import settings
from opentelemetry import trace
from xdist.remote import Producer

from tests.left_behind import LeftBehind
from tests.postgres_server import PostgresServer, postgres_server, programs
from tests.work_units import WorkUnits, rank, sendable

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell without job control starts background jobs so, and what the tests start would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

SCALE: Final = Path(__file__).with_name("scale")

# No test asserts a time: on a busy machine any example may take long.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Look at the checkout, to compare it at the end; with several workers, where they are started from."""
    config = session.config
    if not is_worker(config):
        check = LeftBehind(config.rootpath, lambda report: config.hook.pytest_runtest_logreport(report=report))
        config.pluginmanager.register(check, "left-behind")


def is_worker(config: pytest.Config) -> bool:
    """Whether this process runs tests for another one (`-n`)."""
    return hasattr(config, "workerinput")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> WorkUnits:
    """Let workers take whole files, but for those whose tests share nothing."""
    return WorkUnits(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Escape what UTF-8 cannot hold, such as half a surrogate pair in a captured log line: a worker would end on it."""
    return sendable((yield))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what fetches engines and takes minutes, unless it is named: `./lab test --scale` does."""
    named = (Path(word.partition("::")[0]).resolve() for word in config.args)
    return True if collection_path == SCALE and not any(path.is_relative_to(SCALE) for path in named) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put what takes longest in front where several workers share the tests."""
    if is_worker(config):
        items.sort(key=lambda item: rank(item.nodeid))


def pytest_collection_finish() -> None:
    """Keep the garbage collector from what was imported: it is large, it stays, and passing over it takes long."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take OTEL_* and LAB_* out of the environment, but for those that name a real engine."""
    for name in list(os.environ):
        if name.startswith(("OTEL_", "LAB_")) and name not in {"LAB_OTLP_ENDPOINT", "LAB_QUERY_URL"}:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def clean_context() -> Iterator[None]:
    """Fail a test that starts inside a span; forget structlog's configuration and bound values after each."""
    assert not trace.get_current_span().get_span_context().is_valid
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture(scope="session")
def scipy_stats() -> Any:
    """SciPy's statistics, to compare ours with: loaded by who asks, since that takes each worker a second of CPU."""
    return importlib.import_module("scipy.stats")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the session. CI installs one; elsewhere its absence skips what needs it."""
    folder = programs()
    if folder is None:
        assert not os.environ.get("CI"), "CI installs PostgreSQL, and there is none"
        pytest.skip("there is no PostgreSQL here: Debian's package is postgresql")
    with postgres_server(folder) as server:
        yield server
