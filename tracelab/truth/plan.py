"""What a run of the matrix asks of its caller process, in either API."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tracelab.truth.catalogue import endings_of, scenarios
from tracelab.truth.endings import SERVICE, Act, Api, Ending, Kind, Scenario, Server

CONCURRENCY = 6  # two cores serve so many calls without one starving another's deadline
HANG_BOUND_S = 2.0  # longer than any call of the matrix lasts past its own end
POLL_S = 0.01
ODD_KEY = "Upper-Case"  # gRPC sends lower-case keys alone
FILLER = "the call that fills the server"
FILLER_TIMEOUT_S = 60.0
# Their stream ends in its first message: one more, at the very moment of the end, is a race inside grpc's core.
ONE_REQUEST = frozenset({Act.SEND_GARBAGE, Act.SEND_LARGE, Act.CANCEL_WHILE_READ})
RETRY_POLICY = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{"service": SERVICE}],
                "retryPolicy": {
                    "maxAttempts": 3,
                    "initialBackoff": "0.02s",
                    "maxBackoff": "0.1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)


class TruthError(RuntimeError):
    """The matrix could not be run; the text says which process failed and what it printed."""


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """Where a server of the plan is."""

    address: str
    pid: int
    witness: Path


@dataclass(frozen=True, slots=True)
class Plan:
    """Which scenarios a caller runs, where the servers are, and where it says which spans it left open."""

    wanted: tuple[Scenario, ...]
    servers: dict[Server, ServerProcess]
    open_spans: Path

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read what `matrix.py` has written."""
        plan = json.loads(path.read_text(encoding="utf-8"))
        servers = {
            Server(name): ServerProcess(entry["address"], entry["pid"], Path(entry["witness"]))
            for name, entry in plan["servers"].items()
        }
        api = Api(plan["api"])
        chosen: tuple[Ending, ...] = tuple(ending for ending in endings_of(api) if ending.name in plan["endings"])
        kinds = {Kind(name) for name in plan["kinds"]}
        wanted = tuple(scenario for scenario in scenarios(chosen, api) if scenario.kind in kinds)
        return cls(wanted, servers, Path(plan["open_spans"]))
