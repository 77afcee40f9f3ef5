"""Services that are stopped, or killed, while callers never pause."""

from __future__ import annotations

import random
from collections import Counter

from tracelab.chaos.bench import Bench, Process
from tracelab.chaos.callers import CallersTally, callers, returned_ids
from tracelab.chaos.experiment import Count, Experiment, at_least, equal

HELD_UP_S = 0.3
ANSWERS_BETWEEN = 100  # that prove that callers are served again
MOST_WAITS = 100  # for so many answers each: some ten thousand, and a second or two between two attempts to connect


async def restart_the_only_server(bench: Bench) -> tuple[Count, ...]:
    """Stop one server and start it again, under 1, 20 and 100 callers."""
    total = Totals()
    for caller_count in bench.pick((1, 20, 100), (20,)):
        server = await bench.service("user", label=f"only-{caller_count}")
        await _restart_under_callers(bench, server, caller_count, bench.pick(7, 2), total)
    return total.of_restarts()


async def restart_a_server_that_was_held_up(bench: Bench) -> tuple[Count, ...]:
    """Keep a server from running for a moment, then stop it and start it again, by each of gRPC's APIs."""
    total = Totals()
    for api in ("aio", "sync"):
        server = await bench.service("user", "--api", api, label=f"held-up-{api}")
        await _restart_under_callers(bench, server, 20, bench.pick(3, 2), total, held_up_s=HELD_UP_S)
    return total.of_restarts()


async def _restart_under_callers(
    bench: Bench, server: Process, caller_count: int, stop_count: int, total: Totals, *, held_up_s: float = 0.0
) -> None:
    async with callers([server.address], caller_count) as tally:
        await tally.wait_for_answers(ANSWERS_BETWEEN)
        for _ in range(stop_count):
            await bench.stop(server, held_up_s=held_up_s)
            await bench.restart(server)
            await tally.wait_for_answers(ANSWERS_BETWEEN)
    await bench.stop(server)
    total.add(tally, server)


async def restart_one_of_two(bench: Bench) -> tuple[Count, ...]:
    """Stop one of two servers and start it again, now the one and now the other."""
    total = Totals()
    for caller_count in bench.pick((1, 20, 100), (20,)):
        servers = [await bench.service("user", label=f"{name}-of-{caller_count}") for name in ("one", "other")]
        async with callers([server.address for server in servers], caller_count) as tally:
            await tally.wait_for_answers(ANSWERS_BETWEEN)
            for number in range(bench.pick(7, 2)):
                await bench.stop(servers[number % 2])
                await bench.restart(servers[number % 2])
                await tally.wait_for_answers(ANSWERS_BETWEEN)
        for server in servers:
            await bench.stop(server)
        total.add(tally, *servers)
    return (*total.of_calls(), equal("calls that failed", total.sent_count - total.codes["OK"], 0), *total.of_answers())


async def kill_one_of_two(bench: Bench) -> tuple[Count, ...]:
    """Kill one of two servers at a moment of chance and start it again."""
    total = Totals()
    moments = random.Random(0)
    servers = [await bench.service("user", label=name) for name in ("one", "other")]
    served_again = 0
    async with callers([server.address for server in servers], 20) as tally:
        for number in range(bench.pick(10, 2)):
            await tally.wait_for_answers(moments.randrange(20, 200))
            victim = servers[number % 2]
            await bench.kill(victim)
            await tally.wait_for_answers(ANSWERS_BETWEEN)
            begun_count = len(victim.witness())
            await bench.restart(victim)
            served_again += await serves_more_than(victim, begun_count, tally)
    for server in servers:
        await bench.stop(server)
    total.add(tally, *servers)
    lost = set(tally.answered_ids) - set(returned_ids(*servers))
    return (
        *total.of_calls(),
        equal("ended otherwise than OK or UNAVAILABLE", total.unclear_count, 0),
        equal("answers that no handler gave", len(lost), 0),
        at_least("kills after which the server served again", served_again, bench.pick(10, 2)),
    )


async def serves_more_than(victim: Process, begun_count: int, tally: CallersTally) -> bool:
    """Tell whether a server begins calls again, before the other one has answered very many.

    Its callers come back to it when their channel does: after gRPC's wait between two attempts to connect, not at once.
    """
    for _ in range(MOST_WAITS):
        await tally.wait_for_answers(ANSWERS_BETWEEN)
        if len(victim.witness()) > begun_count:
            return True
    return False


class Totals:
    """The calls of several rounds together."""

    def __init__(self) -> None:
        self.codes: Counter[str] = Counter()
        self._lost_count = 0
        self._repeated_count = 0

    def add(self, tally: CallersTally, *servers: Process) -> None:
        """Count a round that is over, whose servers have ended."""
        self.codes += tally.codes
        answered, returned = Counter(tally.answered_ids), returned_ids(*servers)
        self._lost_count += len(returned.keys() ^ answered.keys())
        self._repeated_count += sum(count - 1 for count in returned.values())

    @property
    def sent_count(self) -> int:
        """All calls."""
        return self.codes.total()

    @property
    def unclear_count(self) -> int:
        """Calls that ended neither OK nor with a code that says what to do."""
        return self.sent_count - self.codes["OK"] - self.codes["UNAVAILABLE"]

    def of_calls(self) -> tuple[Count, ...]:
        """Sent, answered, refused."""
        return (
            Count("calls sent", self.sent_count),
            Count("answered", self.codes["OK"]),
            Count("refused with UNAVAILABLE", self.codes["UNAVAILABLE"]),
        )

    def of_restarts(self) -> tuple[Count, ...]:
        """All of it, where a server is stopped that has no other beside it."""
        return (
            *self.of_calls(),
            equal("ended CANCELLED", self.codes["CANCELLED"], 0),
            equal("ended otherwise than OK or UNAVAILABLE", self.unclear_count, 0),
            *self.of_answers(),
        )

    def of_answers(self) -> tuple[Count, ...]:
        """Whether callers and handlers agree."""
        return (
            equal("answers that were lost or that no handler gave", self._lost_count, 0),
            equal("calls that were served twice", self._repeated_count, 0),
        )


EXPERIMENTS = (
    Experiment(
        "restart",
        "A service that is told to stop costs no call: what it began is answered, all else is told UNAVAILABLE.",
        "SIGTERM to the only UserService under callers who never pause, and a start on the same port",
        "stopped without lame duck and closing, 16 to 18 of the 20 calls in flight ended CANCELLED at a restart",
        restart_the_only_server,
    ),
    Experiment(
        "restart-held-up",
        "Nor does a stop cost a call where the service did not run just before it, as on a very busy machine.",
        "SIGSTOP to a UserService under 20 callers who never pause, 0.3 s later SIGTERM and SIGCONT, by each API",
        "with the quiet before the stop taken for its callers' 54 calls ended CANCELLED at 10 stops, at most 19 at one",
        restart_a_server_that_was_held_up,
    ),
    Experiment(
        "restart-one-of-two",
        "With another server to go to and a retry policy, a restart fails no call.",
        "SIGTERM to one of two under round robin, now the one and now the other, and a start on the same port",
        "stopped without lame duck and closing, 7 to 18 of the 20 calls in flight failed with CANCELLED at a restart",
        restart_one_of_two,
    ),
    Experiment(
        "kill",
        "A service that dies loses no answer, its calls end with a clear status, and once started again it serves.",
        "SIGKILL to one of two under round robin at moments of chance, and a start on the same port",
        "with a channel that waits 60 s before it connects again, no caller was served again within 20 s",
        kill_one_of_two,
    ),
)
