"""Each container of the compose file is stopped and restarted while callers never pause, on a real engine.

No experiment of `./lab chaos`, which needs no engine: `./lab test --containers` runs these.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from clients.errors import LabError
from tracelab.chaos.all_experiments import IGNORED_VARIABLES, Run, run_experiments
from tracelab.chaos.bench import Bench, BenchError
from tracelab.chaos.callers import CallersTally, callers
from tracelab.chaos.compose import ADDRESSES, Compose, find_compose
from tracelab.chaos.experiment import Count, Experiment, Result, equal
from tracelab.stack.command_lines import ROOT

SERVICE_CONTAINERS: Final = ("user", "order", "report")
TELEMETRY_CONTAINERS: Final = ("otel-collector", "jaeger")
# Without side effects, and an empty request is a valid one; TopUsers asks the two other services.
METHODS: Final = {
    "user": "/tracelab.user.v1.UserService/ListUsers",
    "order": "/tracelab.order.v1.OrderService/ListOrders",
    "report": "/tracelab.report.v1.ReportService/TopUsers",
}
CALLERS_EACH: Final = 5
ROUNDS: Final = 3
ANSWERS_BETWEEN: Final = 100
DEMO_BOUND_S: Final = 120.0
DELIVERY_BOUND_S: Final = 60.0


def run_containers(
    environ: Mapping[str, str], *, on_begun: Callable[[Experiment], None], run: Run = asyncio.run
) -> list[Result]:
    """Start the compose file, do each harm, and remove the containers. WrongUsageError where no engine answers."""
    # COMPOSE_PROFILES and DOCKER_HOST stay; what was set for other programs would change what is counted.
    clean = {key: value for key, value in environ.items() if not key.startswith(IGNORED_VARIABLES)}
    compose = find_compose(clean)
    with compose.started():
        return run_experiments(experiments(compose), clean, is_short=False, on_begun=on_begun, run=run)


def experiments(compose: Compose) -> tuple[Experiment, ...]:
    """One for each container that every profile has, services first."""
    return tuple(_experiment(compose, name) for name in (*SERVICE_CONTAINERS, *TELEMETRY_CONTAINERS))


def _experiment(compose: Compose, name: str) -> Experiment:
    async def harm(bench: Bench) -> tuple[Count, ...]:
        codes = await stop_and_restart(compose, name, bench)
        return counts(codes, is_service=name in SERVICE_CONTAINERS)

    return Experiment(
        f"container {name}",
        "Each call is answered or told UNAVAILABLE, and afterwards a call's trace is whole."
        if name in SERVICE_CONTAINERS
        else "No call fails, and afterwards a call's trace is whole.",
        f"restart, then stop and start, {ROUNDS} times each, under {CALLERS_EACH} callers of every service",
        "see restart of ./lab chaos",
        harm,
    )


async def stop_and_restart(compose: Compose, name: str, bench: Bench) -> Counter[str]:
    """Do the harm under callers of all three services; give how their calls ended, by code."""
    async with AsyncExitStack() as stack:
        tallies = [
            await stack.enter_async_context(callers([address], CALLERS_EACH, method=METHODS[service]))
            for service, address in ADDRESSES.items()
        ]
        await _all_answered(tallies)
        for _ in range(ROUNDS):
            for words in (("restart",), ("stop", "start")):
                for word in words:
                    await asyncio.to_thread(_do, compose, word, name)
                await _all_answered(tallies)
    await asyncio.to_thread(demonstrate, bench.folder, compose.environ)
    return sum((tally.codes for tally in tallies), Counter[str]())


def counts(codes: Counter[str], *, is_service: bool) -> tuple[Count, ...]:
    """What is promised of these endings: a container that serves calls may refuse some, any other none."""
    sent_count, refused_count = codes.total(), codes["UNAVAILABLE"]
    return (
        Count("calls sent", sent_count),
        Count("answered", codes["OK"]),
        Count("refused with UNAVAILABLE", refused_count) if is_service else equal("refused", refused_count, 0),
        equal("ended CANCELLED", codes["CANCELLED"], 0),
        equal("ended otherwise", sent_count - codes["OK"] - refused_count - codes["CANCELLED"], 0),
    )


def demonstrate(home: Path, environ: Mapping[str, str]) -> None:
    """Run the demo until its trace is whole; BenchError with what it said if that is not within a bound. Blocking.

    More than once, because the Collector waits longer than a demo does between two attempts to reach what came back.
    """
    until_s = time.monotonic() + DELIVERY_BOUND_S
    while (ran := _demo(home, environ)).returncode != 0:
        if time.monotonic() > until_s:
            raise BenchError(f"the demo afterwards failed: {' '.join(ran.stderr.split())}")


def _demo(home: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "clients.cli", "demo"],
        cwd=ROOT, env={**environ, "LAB_HOME": str(home), "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=DEMO_BOUND_S,
    )  # fmt: skip


def _do(compose: Compose, word: str, name: str) -> None:
    try:
        {"restart": compose.restart, "stop": compose.stop, "start": compose.start}[word](name)
    except LabError as failed:
        raise BenchError(str(failed)) from None


async def _all_answered(tallies: list[CallersTally]) -> None:
    for tally in tallies:
        await tally.wait_for_answers(ANSWERS_BETWEEN)
