"""What a variant is, as values: which RPC, on what data, and how it is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

STRATEGIES = ("sequential", "concurrent", "batch", "streaming")
INSTRUMENTATIONS = ("corrected", "stock", "off")
APIS = ("aio", "sync")
COMPRESSIONS = ("none", "gzip", "deflate")
CHANNELS = ("reuse", "per-call", "local-pool")
PAYLOADS = ("text", "random")
TOP_USERS = "ReportService/TopUsers"
CONTROL = "UserService/GetUser"
DEFAULT_DEADLINE_S = 30.0
_MUTATING_ONCE = ("UserService/DeleteUser",)
MAX_USERS = 1_000
"""TopUsers takes at most so many user ids."""


@dataclass(frozen=True, slots=True)
class Load:
    """A closed loop of `concurrency` workers or, with a rate, an open loop: evenly spaced, or `poisson`."""

    concurrency: int = 1
    rate_per_s: float | None = None
    poisson: bool = False


@dataclass(frozen=True, slots=True)
class VariantOptions:
    """One variant. `request` is JSON text ("" for the RPC's usual request); a deadline of None sends none.

    `message_size_bytes` is the length of an order's note, of `payload`. `sampling` is the share of calls that are
    traced; None traces all. `api` is gRPC's API that the services are served by; the caller's is always aio.
    """

    rpc: str
    strategy: str = ""
    request: str = ""
    users: int = 20
    orders_per_user: int = 5
    message_size_bytes: int = 0
    payload: str = "text"
    concurrency: int = 1
    rate_per_s: float | None = None
    poisson: bool = False
    fault: str = ""
    instrumentation: str = "corrected"
    api: str = "aio"
    sampling: float | None = None
    compression: str = "none"
    channel: str = "reuse"
    deadline_s: float | None = DEFAULT_DEADLINE_S

    @property
    def load(self) -> Load:
        """How hard it is called."""
        return Load(self.concurrency, self.rate_per_s, self.poisson)

    @property
    def is_tried(self) -> bool:
        """Whether one call may be made beforehand; not where it takes away what it needs."""
        return self.rpc not in _MUTATING_ONCE

    def in_words(self) -> Mapping[str, str]:
        """Every option as text, by name."""
        return {field.name: _word(getattr(self, field.name)) for field in fields(self)}


def _word(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def population_in_words(options: VariantOptions) -> str:
    """What a variant is called on, e.g. "20 users with 5 orders each"."""
    users = f"{options.users:,} user{'' if options.users == 1 else 's'}"
    orders = f"{options.orders_per_user:,} order{'' if options.orders_per_user == 1 else 's'}"
    return f"{users} with {orders} each" if options.users > 1 else f"{users} with {orders}"
