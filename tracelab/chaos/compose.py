"""The compose file on a container engine: whether one answers, all containers up, one harmed, and all gone."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from clients.discovery import probes
from clients.discovery.defaults import BACKEND, DEFAULT_PORTS, LOOPBACK, SERVICES
from clients.errors import LabError, WrongUsageError
from tracelab.stack.command_lines import ROOT

PROGRAMS: Final = (("docker", "compose"), ("docker-compose",))
PROJECT: Final = "lab-test-containers"  # containers, network and volumes of its own; the ports are those of the file
ADDRESSES: Final = {name: f"{LOOPBACK}:{DEFAULT_PORTS[name]['grpc']}" for name in SERVICES}
QUERY_ADDRESS: Final = f"{LOOPBACK}:{DEFAULT_PORTS[BACKEND]['query']}"
OTLP_ADDRESS: Final = f"{LOOPBACK}:{DEFAULT_PORTS[BACKEND]['otlp_grpc']}"
ASK_BOUND_S: Final = 30.0
UP_BOUND_S: Final = 1_800.0  # the image is built, others may have to be pulled
HARM_BOUND_S: Final = 120.0
READY_BOUND_S: Final = 120.0
POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Compose:
    """A program that reads compose files and whose engine answers: its words, and the environment that it is run in.

    Every method blocks, and raises LabError with the last line that the program said where it fails.
    """

    words: tuple[str, ...]
    environ: Mapping[str, str]

    def stop(self, name: str) -> None:
        """Stop a container as the file says: SIGTERM, and SIGKILL after its `stop_grace_period`."""
        self._run(HARM_BOUND_S, "stop", name)

    def start(self, name: str) -> None:
        """Start a container that was stopped."""
        self._run(HARM_BOUND_S, "start", name)

    def restart(self, name: str) -> None:
        """Stop a container and start it again."""
        self._run(HARM_BOUND_S, "restart", name)

    @contextmanager
    def started(self) -> Iterator[None]:
        """All containers, serving; what they are made of goes with the context, but for the images."""
        taken = [it for it in (*ADDRESSES.values(), OTLP_ADDRESS, QUERY_ADDRESS) if probes.accepts_connections(it)]
        if taken:
            raise LabError(
                f"{taken[0]} is in use, and the compose file needs it", "stop what runs there, as ./lab down does"
            )
        try:
            self._run(UP_BOUND_S, "up", "--detach", "--build")
            wait_until_ready()
            yield
        finally:
            self._run(HARM_BOUND_S, "down", "--volumes")

    def _run(self, bound_s: float, *words: str) -> None:
        command = (*self.words, "--project-name", PROJECT, *words)
        try:
            ran = subprocess.run(
                command, cwd=ROOT, env=dict(self.environ), stdin=subprocess.DEVNULL,
                capture_output=True, text=True, errors="replace", timeout=bound_s,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise LabError(f"`{' '.join(command)}` took more than {bound_s:g} s") from None
        if ran.returncode != 0:
            said = (ran.stderr.strip() or ran.stdout.strip() or f"exit code {ran.returncode}").splitlines()[-1]
            raise LabError(f"`{' '.join(command)}`: {said}", "run it by itself to see all that it says")


def find_compose(environ: Mapping[str, str]) -> Compose:
    """Give the program to run the file with; WrongUsageError, one line, where none is there or no engine answers it."""
    programs = [words for words in PROGRAMS if _succeeds((*words, "version"), environ)]
    if not programs:
        names = " nor ".join(f"`{' '.join(words)}`" for words in PROGRAMS)
        raise WrongUsageError(f"no container engine answers: there is neither {names}")
    for words in programs:
        if _succeeds((*words, "--project-name", PROJECT, "ps"), environ):
            return Compose(words, environ)
    raise WrongUsageError(f"no container engine answers `{' '.join(programs[0])} ps` (DOCKER_HOST may name one)")


def wait_until_ready(bound_s: float = READY_BOUND_S) -> None:
    """Wait until the services serve and the query API answers; LabError with who does not. Blocking."""
    until_s = time.monotonic() + bound_s
    while silent := _silent():
        if time.monotonic() > until_s:
            raise LabError(f"waited {bound_s:g} s for {', '.join(silent)}", "docker compose up shows what they say")
        time.sleep(POLL_S)


def _silent() -> list[str]:
    services = [name for name, address in ADDRESSES.items() if not probes.service_serves(address)]
    return services + ([] if probes.query_answers(f"http://{QUERY_ADDRESS}") else ["jaeger"])


def _succeeds(command: tuple[str, ...], environ: Mapping[str, str]) -> bool:
    program = shutil.which(command[0], path=environ.get("PATH", ""))
    if program is None:
        return False
    try:
        ran = subprocess.run(
            (program, *command[1:]), cwd=ROOT, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True,
            timeout=ASK_BOUND_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ran.returncode == 0
