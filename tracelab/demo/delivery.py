"""Waits for the demo's trace, longer where what passes it on has only just been started, and says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otel.query import BackendUnreachableError, QueryError, TraceQuery
from tracelab.demo.proof import ARRIVAL_BOUND_S, Proof, ReadBack, await_proof

WARM_UP_BOUND_S: Final = 60.0
"""A Collector that found nobody behind it waits some seconds, and longer each time, before it tries again."""
RETRY_BOUND_S: Final = 20.0
"""The SDK exports every 5 s, and a batch that nobody has taken holds up the next one for at most 10 s."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a trace is waited for, in seconds.

    `warm_up_s` more where nothing at all has arrived yet; `retry_s` more for services that ran before their backend.
    """

    arrival_s: float = ARRIVAL_BOUND_S
    warm_up_s: float = WARM_UP_BOUND_S
    retry_s: float = 0.0


def await_delivery(
    query: TraceQuery,
    session_id: str,
    log_files: Sequence[Path] | None,
    say: Callable[[str], None],
    patience: Patience,
) -> tuple[Proof, ReadBack, float]:
    """Read the session back until its proof holds; give both, and how long was waited for it at most."""
    proof, found = await_proof(query, session_id, log_files, patience.arrival_s)
    if not proof.problems or not patience.arrival_s:
        return proof, found, patience.arrival_s
    if patience.retry_s:
        more_s = patience.retry_s
        why = "the services ran before this backend, and an exporter that found nobody tries again only after a while"
    elif not found.traces and is_warming_up(query):
        more_s = patience.warm_up_s
        why = f"no span of anybody has arrived at {query.query_url} yet: what passes them on may still be starting"
    else:
        return proof, found, patience.arrival_s
    say(f"{why}; waiting {more_s:g} s more at most")
    proof, found = await_proof(query, session_id, log_files, more_s)
    return proof, found, patience.arrival_s + more_s


def is_warming_up(query: TraceQuery) -> bool:
    """Whether a backend behind a Collector has nothing at all yet, or takes connections and does not answer yet.

    Ours takes spans itself, so there is nobody to wait for. A refusal, as of a token, is none of that.
    """
    try:
        return query.status().engine == "jaeger" and not query.services()
    except BackendUnreachableError:
        return True
    except QueryError:
        return False
