"""The backend of a command that looks at programs which are not ours: the one that answers, or one of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clients.discovery.defaults import BACKEND
from clients.discovery.endpoints import Endpoints, find_endpoints, probe_endpoints
from clients.discovery.home import home_of
from clients.output import note
from tracelab.stack import Stack, StackOptions
from tracelab.stack.run_home import record_file_for, run_home
from tracelab.stack.start_lock import StartLock
from tracelab.stack.start_plan import options_for, plan_start


@dataclass(frozen=True, slots=True)
class Backend:
    """Where a run's telemetry goes; `store` is None where the backend is not ours, `stays` whether it outlives us."""

    otlp_endpoint: str
    query_url: str
    store: Path | None
    stays: bool


@contextmanager
def used_backend(name: str, *, is_new: bool = False, otlp_port: int = 0) -> Iterator[Backend]:
    """Use the backend that answers, or start one on the usual ports that ends with the command `name`.

    `is_new` starts one on free ports in any case, with its own store; `otlp_port` is then the one of OTLP over gRPC.
    """
    if is_new:
        home = run_home(name, os.environ)
        record_file = record_file_for(home, os.environ)
        only = (BACKEND,)
        options = StackOptions(
            home=home,
            ports="auto",
            only=only,
            record_file=record_file,
            otlp_port=otlp_port,
            follows_tls_variables=True,
        )
        with Stack.start(options) as stack:
            yield Backend(stack.otlp_endpoint, stack.query_url, stack.store, stays=False)
        return
    home = home_of(os.environ)
    with StartLock(home).acquire(note) as lock:
        endpoints = find_endpoints(os.environ)
        plan = plan_start(endpoints, probe_endpoints(endpoints), (BACKEND,))
        if not plan.missing:
            lock.release()
            yield Backend(endpoints.otlp.address, endpoints.query.address, _store_of(endpoints), stays=True)
            return
        options = StackOptions(home=home, only=(BACKEND,), follows_tls_variables=True)
        with Stack.start(options_for(plan, endpoints, options)) as stack:
            lock.release()
            yield Backend(stack.otlp_endpoint, stack.query_url, stack.store, stays=False)


def _store_of(endpoints: Endpoints) -> Path | None:
    is_ours = endpoints.record is not None and endpoints.query.source == "stack"
    return Path(endpoints.record.store) if endpoints.record and is_ours else None
