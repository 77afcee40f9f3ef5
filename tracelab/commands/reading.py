"""Finds the traces and logs that a reading command shows: a backend that runs, or a store that none serves."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from clients.discovery.endpoints import Endpoints, find_endpoints, living_record
from clients.discovery.probes import query_answers
from clients.errors import LabError, WrongUsageError
from clients.output import note
from otel.analysis.model import Trace
from otel.analysis.reading import TraceReading
from otel.query import TraceQuery, TraceSearch
from otel.tls.contexts import client_context
from otel.tls.files import TlsFiles
from tracelab.stack import Stack, StackError, StackOptions
from tracelab.stack.view import damage_notes

TRACE_HELP: Final = "A trace id, or the start of one, or `last`: the newest trace."
TraceArgument = Annotated[str, typer.Argument(metavar="ID|last", help=TRACE_HELP)]
_TRACE_ID_DIGITS: Final = 32
_LOOKED_THROUGH: Final = 1500  # what Jaeger answers a search with at most
StoreToRead = Annotated[
    Path | None,
    typer.Option("--store", metavar="FILE", exists=True, dir_okay=False, help="Read this SQLite file of telemetry."),
]


class StoredTelemetry(TraceQuery):
    """A store that is served for one command alone, at an address that means nothing afterwards."""

    def __init__(self, store: Path, query_url: str) -> None:
        super().__init__(query_url)
        self.store = store


@contextmanager
def opened(store: Path | None) -> Iterator[TraceQuery]:
    """Open the query API of the running backend, or of one that is started for `store` alone and stopped again.

    With neither a running backend nor a named one, the store of the last run is read.
    """
    endpoints = find_endpoints(os.environ)
    # One that is named, or that runs and was started by us, says best itself why it does not answer.
    if store is None and (
        endpoints.query.source != "usual port" or query_answers(endpoints.query.address, tls=endpoints.tls)
    ):
        with _query(endpoints.query.address) as query:
            yield query
        return
    last = endpoints.home / "telemetry.sqlite"
    if store is None and not last.is_file():
        raise LabError(
            f"no trace backend answers at {endpoints.query.address}",
            "start one with ./lab up --only backend, or name another with LAB_QUERY_URL",
        )
    with _serving(store or last, endpoints) as query:
        yield query


def found_trace(query: TraceQuery, trace_id: str) -> Trace:
    """The trace of that id, or the newest for `last`; LabError where there is none."""
    wanted = trace_id
    if trace_id == "last":
        latest = query.latest_trace_id()
        if latest is None:
            raise LabError(f"there is no trace yet {_place(query)}", "./lab demo makes some")
        wanted = latest
    trace = query.trace(wanted) or _trace_that_begins(query, wanted)
    if trace is None:
        is_start = len(wanted.strip()) < _TRACE_ID_DIGITS
        of_start = (
            "; the beginning of an id finds it among the newest of a week, a whole one always" if is_start else ""
        )
        raise LabError(f"trace {wanted} is not {_place(query)}", f"./lab traces lists those that are{of_start}")
    return trace


def _trace_that_begins(query: TraceQuery, start: str) -> Trace | None:
    """The one trace, of the newest, whose id begins so; LabError where several do."""
    wanted = start.strip().lower()
    if len(wanted) >= _TRACE_ID_DIGITS:
        return None
    newest = query.trace_summaries(TraceSearch(limit=_LOOKED_THROUGH))
    found = [summary.trace_id for summary in newest if summary.trace_id.startswith(wanted)]
    if len(found) > 1:
        raise LabError(f"{len(found)} traces begin with {start!r}", "./lab traces lists them")
    return query.trace(found[0]) if found else None


def _place(query: TraceQuery) -> str:
    """Where is asked, in words that the person has a use for: an address that lasts, or the file."""
    return f"in {query.store}" if isinstance(query, StoredTelemetry) else f"at {query.query_url}"


def read_trace(query: TraceQuery, trace_id: str) -> TraceReading:
    """A trace with its logs."""
    trace = found_trace(query, trace_id)
    return TraceReading(trace, tuple(query.logs_of_trace(trace.trace_id, trace).records))


@contextmanager
def _serving(store: Path, endpoints: Endpoints) -> Iterator[TraceQuery]:
    running = _served_by(store, endpoints)
    if running:
        with _query(running) as query:
            yield query
        return
    note(f"reading {store}, which no backend serves")
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        options = StackOptions(home=Path(folder), ports="auto", only=("backend",), store=store)
        try:
            served = Stack.start(options)
        except StackError as error:  # its hint names log files of a folder that goes now
            raise LabError(str(error)) from error
        with served as stack, StoredTelemetry(store, stack.query_url) as query:
            for sentence in damage_notes(stack.processes, store):
                note(sentence)
            yield query


def _served_by(store: Path, endpoints: Endpoints) -> str:
    """The URL of a living backend that has this store open; "" for none."""
    for path in (endpoints.home / "stack.json", *sorted((endpoints.home / "runs").glob("*/stack.json"))):
        record = living_record(path)
        backend = record.process("backend") if record else None
        if record and backend and Path(record.store) == store.resolve():
            return f"{backend.scheme}://{backend.addresses['query']}"
    return ""


def _query(url: str) -> TraceQuery:
    return TraceQuery(
        url,
        os.environ.get("LAB_LOGS_URL") or None,
        token=os.environ.get("LAB_QUERY_TOKEN", ""),
        tls=client_context(TlsFiles.from_environ(os.environ)),
    )


def key_value(words: list[str], option: str) -> dict[str, str]:
    """Read `KEY=VALUE` words."""
    pairs = [word.partition("=") for word in words]
    for key, separator, _ in pairs:
        if not (key and separator):
            raise WrongUsageError(f"{option}: {key!r} is not KEY=VALUE")
    return {key: value for key, _, value in pairs}
