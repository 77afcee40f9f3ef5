"""The instrumentation as a distribution: built, installed beside somebody else's program, taken by OpenTelemetry."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

from otel.analysis.model import Span, SpanKind
from otel.query import TraceQuery
from tests.e2e.lab_process import BOUND_S, ROOT, Lab, environment
from tests.e2e.outsiders import Outsider, hello_folder, started
from tracelab.stack import Stack, StackOptions

pytestmark = pytest.mark.timeout(300)

DISTRIBUTION = ROOT / "otel" / "distribution"
PAGE = ROOT / "docs" / "your-service.md"
PACKAGE = "grpc_trace_lab_instrumentation"
INSTALL_BOUND_S = 240
# What a program brings itself, in the versions that are locked here; with it comes what those ask for.
THEIRS = ("grpcio", "grpcio-reflection", "opentelemetry-exporter-otlp-proto-grpc", "protobuf")


@dataclass(frozen=True)
class Theirs:
    """An environment of somebody else's, and the backend that its programs export to."""

    bin: Path
    folder: Path
    lab: Lab
    stack: Stack

    def environ(self, **extra: str) -> dict[str, str]:
        """The environment of a program: the standard variables alone."""
        return {
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.stack.otlp_endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_METRICS_EXPORTER": "none",
            **extra,
        }

    def instrumented(self, *words: str) -> list[str]:
        """The command that a person types, all of it of their own environment."""
        command, python, *_ = shlex.split(documented("bash")[1])
        return [str(self.bin / command), python, *words]

    def spans(self, trace_id: str) -> list[Span]:
        """The spans of a trace, in the order of their start."""
        with TraceQuery(self.stack.query_url) as query:
            trace = query.trace(trace_id)
        assert trace is not None
        return sorted(trace.spans, key=lambda span: span.start_time_unix_nano)


def documented(language: str) -> list[str]:
    """The lines of the page that speak of the distribution."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (block,) = [each for each in found if "otel/distribution" in each or PACKAGE in each]
    return str(block).splitlines()


def pip(folder: Path, *words: str) -> list[str]:
    """A command of our pip on the environment with this `bin`, which has none: to install it there takes long."""
    if importlib.util.find_spec("pip") is None:
        subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL, timeout=BOUND_S)
    ours = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(folder / "python")]
    return [*ours, *words]


@pytest.fixture(name="theirs", scope="module")
def _theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theirs]:
    folder = tmp_path_factory.mktemp("theirs")
    venv.create(folder / "venv", symlinks=True)
    pinned = [f"{name}=={metadata.version(name)}" for name in THEIRS]
    distro = f"opentelemetry-distro=={metadata.version('opentelemetry-instrumentation')}"
    install = pip(folder / "venv" / "bin", "install", "--quiet", "--no-input", "--no-compile")
    path = documented("bash")[0].removeprefix("pip install ").replace("CHECKOUT", str(ROOT))
    subprocess.run([*install, path, distro, *pinned], check=True, timeout=INSTALL_BOUND_S)
    lab = Lab(folder / "home")
    with Stack.start(StackOptions(home=lab.home, ports="auto", only=("backend",)), environment(lab.home)) as stack:
        yield Theirs(folder / "venv" / "bin", hello_folder(folder / "hello"), lab, stack)


@pytest.fixture(name="greeters", scope="module")
def _greeters(theirs: Theirs) -> Iterator[tuple[Outsider, Outsider]]:
    """Both greeters, the synchronous one asking the other."""
    words, environ = theirs.instrumented, theirs.environ
    aio = words("greeter_aio_server.py", "--port", "0")
    with started(aio, theirs.folder, environ(OTEL_SERVICE_NAME="greeter"), "greeter") as greeter:
        sync = words("greeter_server.py", "--port", "0", "--upstream", greeter.address)
        with started(sync, theirs.folder, environ(OTEL_SERVICE_NAME="front"), "front") as front:
            yield front, greeter


def test_the_distribution_holds_its_own_package_and_nothing_else(theirs: Theirs) -> None:
    program = (
        "import json; from importlib.metadata import distribution as of; d = of('grpc-trace-lab-instrumentation')\n"
        "print(json.dumps([str(each) for each in d.files]))"
    )
    done = subprocess.run([theirs.bin / "python", "-c", program], capture_output=True, check=True, timeout=BOUND_S)

    files = json.loads(done.stdout)
    project = tomllib.loads((DISTRIBUTION / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {each.split("/")[0] for each in files} == {PACKAGE, f"{PACKAGE}-{project['version']}.dist-info"}
    sources = {each.removeprefix(f"{PACKAGE}/") for each in files if each.startswith(PACKAGE) and each.endswith(".py")}
    source = ROOT / "otel" / "instrument"
    taken = {each.relative_to(source).as_posix() for each in source.rglob("*.py")}
    assert sources <= taken
    assert "py.typed" in {each.removeprefix(f"{PACKAGE}/") for each in files}
    assert not sources & {"telemetry.py", "testing.py", "log_records.py", "otlp_grpc.py", "sync/face.py"}


def test_what_is_installed_asks_for_nothing_that_is_not_there(theirs: Theirs) -> None:
    done = subprocess.run(pip(theirs.bin, "check"), capture_output=True, text=True, timeout=BOUND_S)

    assert (done.returncode, done.stdout.strip()) == (0, "No broken requirements found.")


def test_a_call_through_both_greeters_is_one_span_on_each_side_with_its_status_and_its_deadline(
    theirs: Theirs, greeters: tuple[Outsider, Outsider]
) -> None:
    front, _ = greeters

    answer = theirs.lab.json("call", front.address, "Greeter/SayHello", '{"name": "Ana"}', "--trace-wait", "20")
    later = theirs.lab.json("call", front.address, "Greeter/SayHello", '{"name": "Bo"}', "--trace-wait", "20")

    assert later["trace_services"] == ["cli", "front", "greeter"]
    spans = theirs.spans(answer["trace_id"])
    assert [(span.resource.service_name, span.kind) for span in spans] == [
        ("cli", SpanKind.CLIENT),
        ("front", SpanKind.SERVER),
        ("front", SpanKind.CLIENT),
        ("greeter", SpanKind.SERVER),
    ]
    assert [span.parent_span_id for span in spans[1:]] == [span.span_id for span in spans[:-1]]
    assert {span.attributes["rpc.response.status_code"] for span in spans} == {"OK"}
    assert {span.name for span in spans} == {"hello.Greeter/SayHello"}
    assert {span.scope.name for span in spans[1:]} == {PACKAGE}
    assert spans[2].attributes["tracelab.rpc.timeout_s"] == 5.0
    for span, timeout_s in ((spans[1], 10), (spans[3], 5)):
        remaining_s = span.attributes["tracelab.rpc.time_remaining_s"]
        assert isinstance(remaining_s, float)
        assert remaining_s < timeout_s * 1.1, "what gRPC rounds up on its way is a hundredth"


@pytest.mark.parametrize("which", [0, 1], ids=["sync", "aio"])
def test_a_deadline_that_passes_stands_on_the_server_s_span(
    theirs: Theirs, greeters: tuple[Outsider, Outsider], which: int
) -> None:
    words = (greeters[which].address, "Greeter/CountDown", '{"from": 1000}', "--timeout", "0.5", "--trace-wait", "20")
    done = theirs.lab.run("call", *words, "--json")
    answer = json.loads(done.stdout)
    # What is exported later comes later: a second span of that call would be there by then.
    theirs.lab.json("call", greeters[which].address, "Greeter/SayHello", '{"name": "Ana"}', "--trace-wait", "20")

    assert done.returncode == 1
    spans = theirs.spans(answer["trace_id"])
    assert [(span.kind, span.attributes["rpc.response.status_code"]) for span in spans] == [
        (SpanKind.CLIENT, "DEADLINE_EXCEEDED"),
        (SpanKind.SERVER, "DEADLINE_EXCEEDED"),
    ]


@pytest.mark.parametrize("package", [PACKAGE, "opentelemetry.instrumentation.grpc"], ids=["ours", "stock"])
def test_a_program_that_adds_interceptors_itself_has_one_span_for_a_call_all_the_same(
    theirs: Theirs, tmp_path: Path, package: str
) -> None:
    imported, _, made = documented("python")
    program = f"""
from concurrent import futures
import grpc
{imported.partition("#")[0].replace(PACKAGE, package)}
pool = futures.ThreadPoolExecutor(1)
handler = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
{made}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.Echo", {{"Say": handler}}),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
with grpc.insecure_channel(f"127.0.0.1:{{port}}") as channel:
    channel.unary_unary("/a.Echo/Say")(b"hi", timeout=10)
server.stop(None).wait()
"""
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    words = theirs.instrumented(str(tmp_path / "program.py"))

    done = subprocess.run(
        words, env=theirs.environ(OTEL_TRACES_EXPORTER="console"), capture_output=True, text=True, timeout=BOUND_S
    )

    assert sorted(re.findall(r'"kind": "SpanKind\.(\w+)"', done.stdout)) == ["CLIENT", "SERVER"], done.stderr
    assert set(re.findall(r'"rpc\.response\.status_code": "(\w+)"', done.stdout)) == {"OK"}
