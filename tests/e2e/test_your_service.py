"""docs/your-service.md does what it says: its commands run in order on the greeters, its Python too."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from clients.discovery import probes
from tests.e2e.lab_process import BOUND_S, ROOT, Lab, environment
from tests.e2e.outsiders import SAMPLES
from tests.polling import eventually
from tracelab.stack import Stack, StackOptions

pytestmark = pytest.mark.timeout(300)
PAGE = ROOT / "docs" / "your-service.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTED_PORTS = ("50061", "50062")


def blocks(language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if kind == language]


def free_ports() -> list[str]:
    with ExitStack() as held:
        sockets = [held.enter_context(closing(socket.socket())) for _ in DOCUMENTED_PORTS]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [str(each.getsockname()[1]) for each in sockets]


@dataclass
class Followed:
    """The page's commands and what they printed; those in the background with what they said at their end."""

    printed: dict[str, str] = field(default_factory=dict)

    def of(self, beginning: str) -> str:
        """What the one command that begins so printed."""
        (found,) = [text for command, text in self.printed.items() if command.startswith(beginning)]
        return found


@pytest.fixture(name="followed", scope="module")
def _followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    """Type the page's commands in a folder with the greeters; `lab` and `python` are ours, the ports free ones."""
    folder = tmp_path_factory.mktemp("your") / "hello"
    subprocess.run(["cp", "-r", str(SAMPLES / "hello"), str(folder)], check=True)
    lab = Lab(folder.parent / "home")
    environ = environment(lab.home)
    ports = dict(zip(DOCUMENTED_PORTS, free_ports(), strict=True))
    python = shlex.quote(sys.executable)
    functions = f'lab() {{ exec {python} -P -m clients.cli "$@"; }}; python() {{ exec {python} "$@"; }}; '
    followed, background = Followed(), dict[str, tuple[subprocess.Popen[bytes], Path]]()
    with Stack.start(StackOptions(home=lab.home, ports="auto", only=("backend",)), environ):
        try:
            for command in (line for block in blocks("sh") for line in block.splitlines()):
                typed = re.sub(r"(-- |=')python ", rf"\1{python} ", command)
                for documented, port in ports.items():
                    typed = typed.replace(documented, port)
                if typed.endswith(" &"):
                    output = folder / f"{len(background)}.printed"
                    words = ["bash", "-c", functions + typed.removesuffix(" &")]
                    with output.open("wb") as stream:
                        process = subprocess.Popen(words, cwd=folder, env=environ, stdout=stream, stderr=stream)
                    background[command] = (process, output)
                    address = f"127.0.0.1:{typed.partition('--port ')[2].split()[0]}"
                    eventually(partial(probes.accepts_connections, address), within_s=30)
                    continue
                done = subprocess.run(
                    ["bash", "-c", functions + typed],
                    cwd=folder,
                    env=environ,
                    capture_output=True,
                    text=True,
                    timeout=BOUND_S,
                )
                assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
                followed.printed[command] = done.stdout
            for process, _ in reversed(background.values()):
                process.send_signal(signal.SIGTERM)
                process.wait(30)
        finally:
            for process, _ in background.values():
                process.kill()
                process.wait()
        followed.printed |= {command: output.read_text("utf-8") for command, (_, output) in background.items()}
        yield followed


def test_the_commands_of_the_page_run_and_print_what_it_shows(followed: Followed) -> None:
    assert followed.printed["lab call 127.0.0.1:50061"].startswith("hello.Greeter\n  SayHello(hello.HelloRequest)")
    hello = followed.of("lab call 127.0.0.1:50061 Greeter/SayHello")
    assert '"message": "Hello, Ana!"' in hello
    assert re.search(r"Greeter/SayHello · .* · 4 spans · 3 services · 2 log records", hello)
    services = [line.split()[0] for line in hello.splitlines() if "Greeter/SayHello " in line][1:]
    assert services == ["cli", "front", "front", "greeter"]
    assert "saying hello to Ana" in hello
    assert "WARN hello to Ana" in hello
    assert followed.of("lab call 127.0.0.1:50062 Greeter/CountDown").splitlines()[:3] == [
        '{"message": "3"}',
        '{"message": "2"}',
        '{"message": "1"}',
    ]
    assert "Hello, Ana and Bo!" in followed.of("echo ")
    assert "Greeter/SayHello" in followed.of("lab traces")
    compared = followed.of("lab compare")
    assert re.search(r"^aio against sync: .*slower", compared, re.MULTILINE)
    assert re.search(r"^Greeter +Greeter/SayHello ", compared, re.MULTILINE)
    checked = followed.of("lab check")
    shown = next(block for block in blocks("text") if block.startswith("method  ")).splitlines()
    assert [line.split()[:2] for line in checked.splitlines()[:8]] == [line.split()[:2] for line in shown[:8]]
    assert "0 wrong" in checked.splitlines()[-1]


def test_what_was_seen_is_said_at_the_end_as_the_page_shows_it(followed: Followed) -> None:
    printed = followed.of("lab run --name front")
    shown = next(block for block in blocks("text") if "lab: 2 traces" in block)

    def without_numbers(text: str) -> list[list[str]]:
        return [line.split()[:5] for line in text.splitlines() if line.startswith(("service ", "front "))]

    assert [row[:4] for row in without_numbers(printed)] == [row[:4] for row in without_numbers(shown)]
    assert "lab: 2 traces, 3 spans, 1 log record (1 in spans)" in printed


def test_the_three_lines_of_the_page_run(tmp_path: Path) -> None:
    """The one import is run where the distribution is installed: `test_distribution.py`."""
    (lines,) = [block for block in blocks("python") if "configure" in block]
    code = "import grpc\nfrom concurrent import futures\npool = futures.ThreadPoolExecutor(1)\n" + lines

    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env={**environment(tmp_path), "OTEL_SDK_DISABLED": "true"},
        capture_output=True,
        text=True,
        timeout=BOUND_S,
    )

    assert (done.returncode, done.stderr) == (0, "")
