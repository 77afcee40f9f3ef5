"""Ten times as many callers as a service takes at once."""

from __future__ import annotations

import time
from typing import Final

from tracelab.chaos.bench import Bench, until
from tracelab.chaos.callers import callers, in_hand_ids, returned_ids
from tracelab.chaos.experiment import Count, Experiment, at_least, equal

ROOM: Final = 10
WORK_S: Final = 0.05
FAULT: Final = "fault=UserService/ListUsers:delay=50ms"


async def ten_times_what_fits(bench: Bench) -> tuple[Count, ...]:
    """Let 100 callers at a service that takes 10 at once; then let one caller at it, alone."""
    service = await bench.service("user", "--max-concurrent-calls", str(ROOM), "--allow-faults")
    begun_s = time.monotonic()
    async with callers([service.address], 10 * ROOM, retries=False, baggage=FAULT) as tally:
        await tally.wait_for_answers(bench.pick(2_000, 200))
        lasted_s = time.monotonic() - begun_s
    capacity = ROOM / WORK_S * lasted_s
    # An answer is with its caller before the service has let go of the call.
    await until(lambda: not in_hand_ids(service), "the service to let go of its last calls")
    async with callers([service.address], 1, retries=False, baggage=FAULT) as afterwards:
        await afterwards.wait_for_answers(20)
    await bench.stop(service)
    answered = {*tally.answered_ids, *afterwards.answered_ids}
    return (
        Count("calls sent", tally.sent_count),
        Count("answered", tally.codes["OK"]),
        Count("refused with RESOURCE_EXHAUSTED", tally.codes["RESOURCE_EXHAUSTED"]),
        at_least("refused, so that it was an overload", tally.codes["RESOURCE_EXHAUSTED"], 1),
        equal("ended otherwise", tally.refused_count - tally.codes["RESOURCE_EXHAUSTED"], 0),
        at_least("answered, of 100 that fit", round(100 * tally.codes["OK"] / capacity), 50, is_timed=True),
        equal("calls that the service began and nobody got", len(returned_ids(service).keys() - answered), 0),
        equal("failed once it was over", afterwards.refused_count, 0),
    )


EXPERIMENTS = (
    Experiment(
        "overload",
        "Under ten times what fits, a service answers what fits, refuses the rest at once, and recovers at once.",
        "100 callers who never pause at a UserService that takes 10 calls at once, of 50 ms each; then one alone",
        "without a bound on calls in hand none was refused, and all 100 were in it at once",
        ten_times_what_fits,
    ),
)
