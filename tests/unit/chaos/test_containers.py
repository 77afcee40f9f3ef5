"""`lab test --containers` without an engine: who is asked, what is said of nobody, and what would be done to whom."""

from __future__ import annotations

import asyncio
import socket
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from clients.discovery import probes
from clients.errors import LabError, WrongUsageError
from tracelab.chaos import compose, containers
from tracelab.chaos.bench import Bench, BenchError
from tracelab.chaos.compose import Compose, find_compose
from tracelab.commands import test as command

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for a program is a shell script")


def stand_in(folder: Path, name: str, script: str) -> dict[str, str]:
    """Put a program into a folder and give the environment that finds it, and no other of its kind, there."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f'#!/bin/sh\necho "$@" >> "{folder}/said"\n{script}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"PATH": str(folder)}


def said(folder: Path) -> list[str]:
    return (folder / "said").read_text().splitlines()


def test_without_a_compose_program_one_line_says_so_and_the_exit_code_is_2(tmp_path: Path) -> None:
    with pytest.raises(WrongUsageError) as told:
        find_compose({"PATH": str(tmp_path)})
    assert str(told.value) == "no container engine answers: there is neither `docker compose` nor `docker-compose`"
    assert (told.value.exit_code, told.value.hint) == (2, "")


def test_a_program_whose_engine_does_not_answer_is_named_in_one_line(tmp_path: Path) -> None:
    environ = stand_in(tmp_path / "bin", "docker-compose", 'case "$*" in version) ;; *) exit 1 ;; esac')
    with pytest.raises(WrongUsageError) as told:
        find_compose(environ)
    assert str(told.value) == "no container engine answers `docker-compose ps` (DOCKER_HOST may name one)"
    assert (told.value.exit_code, told.value.hint) == (2, "")


def test_a_docker_without_compose_leaves_it_to_the_program_that_answers(tmp_path: Path) -> None:
    stand_in(tmp_path / "bin", "docker", "exit 1")
    environ = stand_in(tmp_path / "bin", "docker-compose", "exit 0")
    assert find_compose(environ) == Compose(("docker-compose",), environ)
    assert said(tmp_path / "bin") == ["compose version", "version", "--project-name lab-test-containers ps"]


def test_the_command_is_alone_with_its_word() -> None:
    with pytest.raises(WrongUsageError, match="takes no other words"):
        command.run(["--containers", "-k", "demo"])


def test_without_an_engine_the_command_starts_neither_checks_nor_pytest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(command, "_run_side_by_side", lambda *_: pytest.fail("pytest was started"))
    with pytest.raises(WrongUsageError, match="no container engine answers"):
        command.run(["--containers"])


def test_all_goes_down_again_even_where_the_containers_did_not_come_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "accepts_connections", lambda _address: False)
    environ = stand_in(
        tmp_path / "bin", "docker-compose", 'case "$*" in *up*) echo "no such image" >&2; exit 1 ;; esac'
    )
    engine = Compose((str(tmp_path / "bin" / "docker-compose"),), environ)
    with pytest.raises(LabError, match="up --detach --build`: no such image"), engine.started():
        pytest.fail("nothing came up")
    assert said(tmp_path / "bin") == [
        "--project-name lab-test-containers up --detach --build",
        "--project-name lab-test-containers down --volumes",
    ]


def test_a_port_that_is_in_use_is_named_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = stand_in(tmp_path / "bin", "docker-compose", "exit 0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr(compose, "ADDRESSES", {"user": address})
        with pytest.raises(LabError, match=f"{address} is in use"), Compose(("docker-compose",), environ).started():
            pytest.fail("the port was taken")
    assert not (tmp_path / "bin" / "said").exists()


def test_every_container_of_the_default_profile_is_harmed_and_serves_its_methods() -> None:
    file = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    always = {name for name, container in file["services"].items() if "profiles" not in container}
    planned = containers.experiments(Compose(("docker-compose",), {}))
    assert {experiment.slug for experiment in planned} == {f"container {name}" for name in always}
    published = {file["services"][name]["ports"][0].rpartition(":")[0] for name in containers.METHODS}
    assert set(compose.ADDRESSES.values()) == published


class Tally:
    """Callers who are answered at once, and how often they were waited for."""

    def __init__(self, codes: Counter[str]) -> None:
        self.codes = codes
        self.waits = 0

    async def wait_for_answers(self, count: int) -> None:
        self.waits += 1


def test_a_container_is_restarted_then_stopped_and_started_while_every_service_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = stand_in(tmp_path / "bin", "docker-compose", "exit 0")
    called: dict[str, Tally] = {}

    @asynccontextmanager
    async def no_callers(addresses: list[str], count: int, *, method: str) -> AsyncIterator[Tally]:
        called[method] = Tally(Counter(OK=count))
        yield called[method]

    monkeypatch.setattr(containers, "callers", no_callers)
    monkeypatch.setattr(containers, "demonstrate", lambda _home, _environ: None)
    engine = Compose((str(tmp_path / "bin" / "docker-compose"),), environ)
    bench = Bench(tmp_path, {}, is_short=False)
    codes = asyncio.run(containers.stop_and_restart(engine, "order", bench))
    words = [line.removeprefix("--project-name lab-test-containers ") for line in said(tmp_path / "bin")]
    assert words == ["restart order", "stop order", "start order"] * containers.ROUNDS
    assert set(called) == set(containers.METHODS.values())
    assert {tally.waits for tally in called.values()} == {1 + 2 * containers.ROUNDS}
    assert codes == Counter(OK=3 * containers.CALLERS_EACH)


@pytest.mark.parametrize(
    ("codes", "is_service", "held"),
    [
        (Counter(OK=9, UNAVAILABLE=3), True, True),
        (Counter(OK=9, UNAVAILABLE=3), False, False),
        (Counter(OK=9), False, True),
        (Counter(OK=9, CANCELLED=1), True, False),
        (Counter(OK=9, UNKNOWN=1), True, False),
    ],
    ids=["a service refuses", "telemetry costs a call", "telemetry costs none", "cancelled", "unclear"],
)
def test_a_service_may_refuse_calls_while_it_is_away_and_telemetry_may_cost_none(
    codes: Counter[str], is_service: bool, held: bool
) -> None:
    counted = containers.counts(codes, is_service=is_service)
    assert all(count.held is not False for count in counted) == held
    sent, *endings = (count.value for count in counted)
    assert sent == sum(endings)


def demos(monkeypatch: pytest.MonkeyPatch, *codes: int) -> list[int]:
    """Let the demo end with these exit codes, one after the other; give those that are left."""
    left = list(codes)
    monkeypatch.setattr(
        containers, "_demo", lambda _home, _environ: subprocess.CompletedProcess([], left.pop(0), "", "it\nis late")
    )
    return left


def test_the_demo_afterwards_may_wait_for_the_collector_to_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = demos(monkeypatch, 1, 0, 1)
    containers.demonstrate(tmp_path, {})
    assert left == [1]


def test_a_demo_whose_trace_never_is_whole_is_told_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "DELIVERY_BOUND_S", -1.0)
    demos(monkeypatch, 1)
    with pytest.raises(BenchError, match="the demo afterwards failed: it is late"):
        containers.demonstrate(tmp_path, {})
