"""One more witness: what gRPC's own core counted of a call's attempts and statuses, and what that proves. Pure.

Core's counts name a method and no call, so each counted scenario has a method of its own (`counted`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final

from tracelab.truth.catalogue import scenarios
from tracelab.truth.endings import Api, Ending, Kind, Scenario, SpanExpected

# Beside the endings that leave a server without a code: those of which core says more, or less, than the spans do.
_ALSO_COUNTED: Final = frozenset(
    {"ok", "domain error", "unhandled exception", "client cancels before a message"}
    | {"retried, then OK", "retried, exhausted", "unknown method"}
)
SHORTEST_TIMEOUT_S: Final = 1.5  # on a busy machine too, a call reaches its server before it is over
NOT_COUNTED_HERE: Final = (
    "gRPC's core was not asked: grpcio-observability, which hands its counts over, is not installed"
    " (there is one for Linux alone)."
)


@dataclass(frozen=True, slots=True)
class CoreCounts:
    """What core counted of one scenario: attempts begun by the client, calls that came in, and how often each status.

    A status is counted once its attempt or call is over.
    """

    attempts: int
    attempt_statuses: Mapping[str, int]
    served: int
    served_statuses: Mapping[str, int]

    @property
    def client(self) -> str:
        """The client's side in words: `3 attempts: 2 UNAVAILABLE, 1 OK`."""
        return _words(self.attempts, "attempt", self.attempt_statuses)

    @property
    def server(self) -> str:
        """The server's side in words: `1 call: RESOURCE_EXHAUSTED`.

        Of a call that was cut short, core counts OK, or what a thread sent too late for anyone to read: no witness.
        """
        if self._is_agreed:
            return _words(self.served, "call", self.served_statuses)
        return f"{_words(self.served, 'call', {})}, its status proves nothing"

    @property
    def proof(self) -> str:
        """What this proves of a call whose servicer could not know how it ended."""
        calls = _words(self.served, "call", {})
        if self._is_agreed and "OK" not in self.served_statuses:
            statuses = ", ".join(sorted(self.served_statuses))
            return f"core counted {calls} refused with {statuses}, so the server refused, and no client left early"
        return f"core counted {calls} that came in, which is all that is proven; on the client's side {self.client}"

    @property
    def _is_agreed(self) -> bool:
        return self.served > 0 and self.served_statuses == self.attempt_statuses


def _words(total: int, noun: str, statuses: Mapping[str, int]) -> str:
    counted = f"{total} {noun}{'' if total == 1 else 's'}"
    if not statuses:
        return counted
    if len(statuses) == 1:
        return f"{counted}: {next(iter(statuses))}"
    return f"{counted}: {', '.join(f'{count} {status}' for status, count in sorted(statuses.items()))}"


def is_counted(ending: Ending) -> bool:
    """Whether core is asked of this ending."""
    return ending.server_span is SpanExpected.UNKNOWABLE or ending.name in _ALSO_COUNTED


def counted(endings: Iterable[Ending], kinds: Iterable[Kind], api: Api) -> dict[str, Scenario]:
    """The scenarios of which core is asked, by name; each calls a method that no other does."""
    suffixed = tuple(
        replace(
            ending,
            method_suffix=f"{ending.method_suffix}Counted{number}",
            timeout_s=max(ending.timeout_s, SHORTEST_TIMEOUT_S),
        )
        for number, ending in enumerate(endings)
        if is_counted(ending)
    )
    wanted = frozenset(kinds)
    return {scenario.name: scenario for scenario in scenarios(suffixed, api) if scenario.kind in wanted}


def counts_to_json(counts: Mapping[str, CoreCounts]) -> str:
    """The counts by scenario as one JSON object."""
    return json.dumps({name: asdict(found) for name, found in counts.items()})


def counts_from_json(text: str) -> dict[str, CoreCounts]:
    """The way back from `counts_to_json`."""
    return {name: CoreCounts(**entry) for name, entry in json.loads(text).items()}
