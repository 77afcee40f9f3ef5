"""`lab run`: a program that knows nothing of us, traced, and otherwise as if it ran alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lab_process import BOUND_S, ROOT, Lab, environment
from tests.e2e.outsiders import SAMPLES, Outsider, hello_folder, started
from tests.polling import eventually
from tracelab.own.program import INJECTED
from tracelab.stack import Stack, StackOptions

PYTHON = sys.executable


@pytest.fixture(name="lab", scope="module")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("run") / "home")
    with Stack.start(StackOptions(home=lab.home, ports="auto", only=("backend",)), environment(lab.home)):
        yield lab


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = hello_folder(tmp_path_factory.mktemp("hello"))
    shutil.copy(SAMPLES / "programs" / "calls_itself.py", folder)
    return folder


def lab_words(*words: str) -> list[str]:
    return [PYTHON, "-P", "-m", "clients.cli", "run", *words]


def run(lab: Lab, folder: Path, *words: str, text: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
    """Run `lab run` in a folder of the program's own."""
    return subprocess.run(
        lab_words(*words),
        cwd=folder,
        env=environment(lab.home, **extra),
        input=text,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
    )


@pytest.mark.parametrize("script", ["greeter_server.py", "greeter_aio_server.py"])
def test_a_server_of_somebody_else_is_traced_with_its_logs_and_a_summary_ends_its_run(
    lab: Lab, folder: Path, script: str
) -> None:
    words = lab_words("--json", "--", PYTHON, script, "--port", "0")
    with (folder / f"{script}.json").open("wb") as stdout, (folder / f"{script}.err").open("wb") as stderr:
        process = subprocess.Popen(words, cwd=folder, env=environment(lab.home), stdout=stdout, stderr=stderr)
    try:
        greeter = Outsider(process, folder / f"{script}.err")
        eventually(lambda: greeter.port, within_s=30)
        shown = lab.run("call", greeter.address, "Greeter/SayHello", '{"name": "Ana"}', "--trace-wait", "10")
        failed = lab.run("call", greeter.address, "Greeter/SayHello", "--trace-wait", "0")
        streamed = lab.run("call", greeter.address, "Greeter/CountDown", '{"from": 2}', "--trace-wait", "0")
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    finally:
        process.kill()
        process.wait()

    assert (shown.returncode, failed.returncode, streamed.returncode) == (0, 1, 0), shown.stderr
    assert "hello to Ana" in shown.stdout, "the log line stands in the trace"
    report = json.loads((folder / f"{script}.json").read_text(encoding="utf-8"))
    assert report["exit_code"] == process.returncode
    assert report["services"] == [script.removesuffix(".py")]
    assert (report["trace_count"], report["span_count"]) == (3, 3)
    assert report["log_count"] == report["joined_log_count"] == 2
    assert {row["method"]: (row["kind"], row["count"], row["error_count"]) for row in report["methods"]} == {
        "Greeter/CountDown": ("server", 1, 0),
        "Greeter/SayHello": ("server", 2, 0),
    }
    assert report["store"] == str(lab.home / "telemetry.sqlite")
    assert lab.json("traces", "--service", script.removesuffix(".py"))


@pytest.mark.parametrize("api", ["sync", "aio"])
@pytest.mark.parametrize("instrumented", [(), ("--instrumented",)], ids=["bare", "with instrumentors of its own"])
def test_both_sides_of_a_call_are_traced_once_whatever_the_program_does_itself(
    lab: Lab, folder: Path, api: str, instrumented: tuple[str, ...]
) -> None:
    done = run(lab, folder, "--json", "--name", "self", "--", PYTHON, "calls_itself.py", api, *instrumented)

    report = json.loads(done.stdout)
    assert (done.returncode, report["trace_count"]) == (0, 1), done.stderr
    assert [(row["kind"], row["count"]) for row in report["methods"]] == [("server", 1), ("client", 1)]
    assert report["span_count"] == 2
    assert report["log_count"] == report["joined_log_count"] == (2 if api == "sync" else 1)
    assert f"\n{api}\n" in f"\n{done.stderr}", "its standard output, with --json on standard error"
    assert "by.structlog" in done.stderr, "structlog still prints"


def test_streams_and_exit_code_are_the_program_s_own(lab: Lab, folder: Path) -> None:
    program = "import sys; print(sys.stdin.read().upper()); print('oops', file=sys.stderr); sys.exit(7)"

    done = run(lab, folder, "--", PYTHON, "-c", program, text="hello")

    assert (done.returncode, done.stdout) == (7, "HELLO\n")
    assert "oops" in done.stderr.splitlines()
    assert "lab: no spans came" in done.stderr


def test_a_program_that_a_signal_ends_is_told_as_a_shell_does(lab: Lab, folder: Path) -> None:
    done = run(lab, folder, "--", PYTHON, "-c", "import os; os.kill(os.getpid(), 9)")

    assert done.returncode == 128 + 9


def test_a_program_in_another_language_gets_the_variables(lab: Lab, folder: Path) -> None:
    done = run(lab, folder, "--name", "shop", "--", "sh", "-c", "env")

    given = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    assert given["OTEL_SERVICE_NAME"] == "shop"
    assert given["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc"
    assert given["OTEL_EXPORTER_OTLP_ENDPOINT"].startswith("http://127.0.0.1:")


def test_a_sitecustomize_of_the_person_s_own_still_runs(lab: Lab, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import builtins\nbuiltins.theirs = 'ran'\n", encoding="utf-8")
    program = "import sitecustomize; print(theirs, sitecustomize.__file__)"

    done = run(lab, folder, "--", PYTHON, "-c", program, PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")

    assert done.stdout.split() == ["ran", str(tmp_path / "sitecustomize.py")], done.stderr


def test_a_program_that_looks_for_grpc_before_it_loads_it_is_traced_too(lab: Lab, folder: Path) -> None:
    program = "import importlib.util; assert importlib.util.find_spec('grpc'); import calls_itself as c; c.sync()"

    done = run(lab, folder, "--json", "--", PYTHON, "-c", program)

    assert json.loads(done.stdout)["span_count"] == 2, done.stderr


def test_the_folder_in_front_of_its_path_has_nothing_that_a_program_may_call_its_own() -> None:
    names = {path.stem for path in INJECTED.glob("*.py")}
    assert names == {"__init__", "sitecustomize", "lab_run_tracing"}


def test_packages_called_as_ours_do_no_harm(lab: Lab, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "app")
    for name in ("otel", "services", "clients", "tracelab"):
        (tmp_path / "app" / name).mkdir()
        (tmp_path / "app" / name / "__init__.py").write_text("THEIRS = True\n", encoding="utf-8")
    (tmp_path / "app" / "main.py").write_text(
        "import otel, services, clients, tracelab, calls_itself\n"
        "assert otel.THEIRS and services.THEIRS and clients.THEIRS and tracelab.THEIRS\n"
        "calls_itself.sync()\n",
        encoding="utf-8",
    )

    done = run(lab, tmp_path / "app", "--json", "--", PYTHON, "main.py")

    assert json.loads(done.stdout)["span_count"] == 2, done.stderr


def test_an_environment_that_lacks_our_packages_is_left_as_it_is_and_traced_all_the_same(
    lab: Lab, folder: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "theirs", symlinks=True)
    packages = next((tmp_path / "theirs").glob("lib/python*/site-packages"))
    ours = Path(sysconfig.get_paths()["purelib"])
    (packages / "google").mkdir()
    for name in ("grpc", "grpc_reflection", "typing_extensions.py", "google/protobuf", "google/_upb"):
        (packages / name).symlink_to(ours / name)
    before = sorted(path.name for path in packages.iterdir())
    python = tmp_path / "theirs" / "bin" / "python"

    with started(
        lab_words("--name", "bare", "--python", str(python), "--", "greeter_server.py", "--port", "0"),
        folder,
        environment(lab.home),
        "bare",
    ) as greeter:
        answer = lab.json("call", greeter.address, "Greeter/SayHello", '{"name": "Ana"}', "--trace-wait", "10")

    assert answer["trace_services"] == ["cli", "bare"], greeter.text
    assert answer["log_count"] == 1
    left = sorted(path.name for path in packages.iterdir() if path.name != "__pycache__")
    assert left == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "error: -- PROGRAM [ARGS] is missing"),
        (("--", "no-such-program"), "error: 'no-such-program' is no program that can be run"),
        (("--python", "/bin/sh", "--", "app.py"), "error: /bin/sh does not run as a Python"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_line(lab: Lab, folder: Path, words: tuple[str, ...], said: str) -> None:
    done = run(lab, folder, *words)

    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == said


def test_a_backend_is_started_where_none_answers_and_ends_with_the_run(folder: Path, tmp_path: Path) -> None:
    lab = Lab(tmp_path / "home")

    done = run(lab, folder, "--ports", "auto", "--json", "--", PYTHON, "calls_itself.py", "sync")

    report = json.loads(done.stdout)
    assert report["span_count"] == 2, done.stderr
    assert Path(report["store"]).is_file()
    shown = lab.run("trace", report["slowest_trace_id"], "--store", report["store"])
    assert "by stdlib" in shown.stdout
    assert lab.record() is None
