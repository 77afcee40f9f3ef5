"""`lab learn` as a learner meets it: wrong names and answers, exercises red and green, Ctrl-C, progress."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from tests.e2e.lab_process import Lab, environment
from tests.polling import eventually
from tracelab.learn import lab as lesson_lab
from tracelab.learn.catalogue import all_lessons
from tracelab.learn.lesson import Lesson

CHECKED = [lesson for lesson in all_lessons() if lesson.try_it.check is not None]
INTERRUPTED = 130


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    home = tmp_path / "home"
    home.mkdir()
    return Lab(home)


def exercise(lab: Lab, slug: str) -> Path:
    return lab.home / "learn" / f"{slug.replace('-', '_')}.py"


def test_the_exercises_that_the_contract_promises_are_checked() -> None:
    wanted = {"n-plus-one", "deadline", "retry", "lost-context", "health", "flow-control"}
    assert wanted <= {lesson.slug for lesson in CHECKED}


@pytest.mark.parametrize("lesson", CHECKED, ids=lambda lesson: lesson.slug)
def test_an_exercise_is_red_as_it_stands_and_green_when_solved(lesson: Lesson, lab: Lab) -> None:
    red = lab.run("learn", lesson.slug, "--try")
    assert red.returncode == 1, red.stdout + red.stderr
    assert "✘" in red.stdout
    assert "not yet" in red.stderr
    assert exercise(lab, lesson.slug).read_text("utf-8") == lesson.try_it.starter

    exercise(lab, lesson.slug).write_text(lesson.try_it.solution, encoding="utf-8")
    green = lab.run("learn", lesson.slug, "--try")
    assert green.returncode == 0, green.stdout + green.stderr
    assert "✘" not in green.stdout
    listed = {entry["slug"]: entry for entry in lab.json("learn")["lessons"]}
    assert listed[lesson.slug]["solved"]


@pytest.mark.parametrize(
    ("slug", "source", "said"),
    [
        ("lost-context", "async def run_blocking(work):\n    return work()\n", "✘ the work ran in: the loop's own"),
        (
            "lost-context",
            "import asyncio\nasync def run_blocking(work):\n    await asyncio.to_thread(work)\n",
            "✘ what run_blocking returned: none",
        ),
        ("lost-context", "async def run_blocking(work):\n    return 'done'\n", "✘ times that the work was done: 0"),
        (
            "n-plus-one",
            "async def count_orders(order_service, user_ids):\n    return 50\n",
            "✘ calls to OrderService: 0",
        ),
    ],
    ids=["in the loop", "no result", "no work", "no call"],
)
def test_a_way_around_the_exercise_is_red_with_what_is_missing(slug: str, source: str, said: str, lab: Lab) -> None:
    file = exercise(lab, slug)
    file.parent.mkdir()
    file.write_text(source, encoding="utf-8")
    done = lab.run("learn", slug, "--try")
    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stdout, done.stdout + done.stderr
    assert "not yet" in done.stderr


@pytest.mark.parametrize(
    ("source", "said"),
    [("def broken(:\n", ":1: "), ("1/0\n", "division by zero"), ("import no_such_module\n", "no_such_module")],
)
def test_a_file_that_does_not_run_is_named_with_the_reason_and_left_alone(source: str, said: str, lab: Lab) -> None:
    file = exercise(lab, "retry")
    file.parent.mkdir()
    file.write_text(source, encoding="utf-8")
    done = lab.run("learn", "retry", "--try")
    assert done.returncode == 1
    assert said in done.stderr
    assert file.name in done.stderr
    assert "Traceback" not in done.stderr
    assert file.read_text("utf-8") == source


def test_an_exercise_that_defines_nothing_of_what_was_asked_is_red_and_no_crash(lab: Lab) -> None:
    for lesson in CHECKED:
        file = exercise(lab, lesson.slug)
        file.parent.mkdir(exist_ok=True)
        file.write_text("# nothing yet\n", encoding="utf-8")
        done = lab.run("learn", lesson.slug, "--try")
        assert done.returncode == 1, f"{lesson.slug}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr + done.stdout, lesson.slug
        assert "does not define" in done.stderr, f"{lesson.slug}: {done.stderr}"


@pytest.mark.parametrize("options", ["None", '{"grpc.http2.bdp_probe": 0}', '[("grpc.http2.bdp_probe", "0")]'])
def test_channel_options_that_grpc_would_refuse_or_pass_over_are_explained(options: str, lab: Lab) -> None:
    file = exercise(lab, "flow-control")
    file.parent.mkdir()
    file.write_text(f"CHANNEL_OPTIONS = {options}\n", encoding="utf-8")
    done = lab.run("learn", "flow-control", "--try")
    assert done.returncode == 1
    assert "no list of pairs of a name and a number" in done.stderr
    assert "no quotes around the number" in done.stderr


def test_a_handler_that_raises_is_red_with_its_reason(lab: Lab) -> None:
    file = exercise(lab, "deadline")
    file.parent.mkdir()
    file.write_text(
        "async def report(request, context, orders):\n    raise ValueError('my mistake')\n", encoding="utf-8"
    )
    done = lab.run("learn", "deadline", "--try")
    assert done.returncode == 1
    assert "my mistake" in done.stdout
    assert "not yet" in done.stderr
    assert "chttp2" not in done.stderr


def test_a_lesson_without_a_checked_exercise_says_so(lab: Lab) -> None:
    done = lab.run("learn", "drain", "--try")
    assert done.returncode == 1
    assert "not one that the tool checks" in done.stderr


def test_hint_and_solution_are_printed_and_nothing_runs(lab: Lab) -> None:
    assert "maxAttempts" in lab.run("learn", "retry", "--hint").stdout
    assert '"maxAttempts": 4' in lab.run("learn", "retry", "--solution").stdout
    assert not (lab.home / "runs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("deadlin",), "did you mean deadline"),
        (("quantum",), "lists them"),
        (("retry", "--predict", "d"), "'d' is not one of"),
    ],
)
def test_a_wrong_name_or_answer_is_a_wrong_usage_and_nothing_runs(words: tuple[str, ...], said: str, lab: Lab) -> None:
    done = lab.run("learn", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (lab.home / "runs").exists()


def test_a_wrong_prediction_is_answered_kindly_and_the_lesson_counts_as_done(lab: Lab) -> None:
    done = lab.run("learn", "retry", "--predict", "a")
    assert done.returncode == 0, done.stderr
    assert "You said a: no, it is b: one call that takes a little longer." in done.stdout
    assert "[retry" not in done.stdout
    assert done.stdout.endswith("\nnext: ./lab learn first-trace\n")
    listed = {entry["slug"]: entry for entry in lab.json("learn")["lessons"]}
    assert listed["retry"]["done"]
    assert not listed["retry"]["solved"]
    assert "1 of " in lab.run("learn").stdout


def asked_at_a_terminal(lab: Lab) -> tuple[subprocess.Popen[str], int]:
    """The retry lesson, which asks its question, and the terminal on which to answer it."""
    learner, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "clients.cli", "learn", "retry"],
        cwd=lab.home.parent,
        env=environment(lab.home),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    return process, learner


def test_an_answer_that_is_none_is_asked_for_again(lab: Lab) -> None:
    process, learner = asked_at_a_terminal(lab)
    os.write(learner, b"maybe\nB\n")
    printed, complaint = process.communicate(timeout=90)
    os.close(learner)
    assert process.returncode == 0, complaint
    assert "a, b or c; Ctrl-C leaves" in printed
    assert "You said b: right: one call that takes a little longer." in printed


def test_ctrl_c_at_the_question_ends_its_line_and_runs_nothing(lab: Lab) -> None:
    process, learner = asked_at_a_terminal(lab)
    assert process.stdout is not None
    asked = ""
    while not asked.endswith("(a, b or c)? ") and (letter := process.stdout.read(1)):
        asked += letter
    # Python notices no signal that comes before it waits for the answer.
    eventually(psutil.Process(process.pid).status, until=lambda status: status == psutil.STATUS_SLEEPING)
    process.send_signal(signal.SIGINT)
    printed, complaint = process.communicate(timeout=60)
    os.close(learner)
    assert (process.returncode, printed, complaint) == (INTERRUPTED, "\n", "")
    assert not (lab.home / "runs").exists()


def test_telemetry_settings_of_the_shell_change_no_lesson(lab: Lab) -> None:
    done = lab.run(
        *("learn", "first-trace", "--yes", "--json"),
        OTEL_SERVICE_NAME="mine",
        OTEL_TRACES_SAMPLER="always_off",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://127.0.0.1:9",
        LAB_INSTRUMENTATION="off",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_facts_as_json_teach_nobody_and_count_as_no_progress(lab: Lab) -> None:
    outcome = lab.json("learn", "retry", "--yes")
    assert outcome["passed"]
    assert {tuple(fact) for fact in outcome["facts"]} == {("name", "wanted", "seen", "passed")}
    assert not any(entry["done"] for entry in lab.json("learn")["lessons"])


def offspring(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """All that a command started, and all that these started."""
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize("words", [("learn", "drain", "--yes"), ("learn", "--all")], ids=["one lesson", "all"])
@pytest.mark.parametrize("process_count", [1, 4])
def test_ctrl_c_ends_everything_that_was_started(words: tuple[str, ...], process_count: int, lab: Lab) -> None:
    process = lab.start(*words)
    started = eventually(lambda: offspring(process), until=lambda all_: len(all_) >= process_count, within_s=60)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED, complaint
    assert "Traceback" not in complaint
    eventually(lambda: [one for one in started if one.is_running()], until=lambda left: not left)
    mine = [one for one in psutil.process_iter(["cmdline"]) if str(lab.home) in " ".join(one.info["cmdline"] or ())]
    assert mine == []


def test_a_site_of_one_lesson_is_written(lab: Lab, tmp_path: Path) -> None:
    done = lab.run("learn", "retry", "--html", str(tmp_path / "site"))
    assert done.returncode == 0, done.stderr
    assert {file.name for file in (tmp_path / "site").iterdir()} == {"index.html", "retry.html", "retry-trace-1.html"}


def test_a_port_in_use_is_said_before_anything_starts(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = lab.run("learn", "--serve", "--port", str(port))
    assert done.returncode == 1
    assert f"port {port} is in use" in done.stderr
    assert "--port" in done.stderr


async def test_a_lessons_server_that_does_not_start_is_named_with_its_last_words(tmp_path: Path) -> None:
    made = lesson_lab.Lab(tmp_path, environment(tmp_path), lambda *_, **__: None)  # type: ignore[arg-type]
    made._stack = SimpleNamespace(otlp_endpoint="http://127.0.0.1:1", stop=lambda: None)  # type: ignore[assignment]
    with pytest.raises(lesson_lab.LessonError, match=r"server slow did not start: ModuleNotFoundError: .*'nowhere'$"):
        await made.servicer("nowhere:Servicer", "user", name="slow")
    await made.close()
