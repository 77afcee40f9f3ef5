"""The command table, the help, the menu and the errors, without any process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clients import cli, output
from clients.error_report import report_of
from clients.errors import LabError, Report
from generated import user_pb2
from otel.instrument import SettingsError
from otel.query import BackendUnreachableError, MalformedTraceIdError
from tracelab import menu as cli_menu
from tracelab.command_table import COMMANDS, QUESTIONS, find_command, help_text
from tracelab.menu import show_menu

ROOT = Path(__file__).resolve().parents[3]


def test_the_help_has_examples_first_and_every_command_below_its_question() -> None:
    text = help_text()
    places = [text.index(heading) for heading in ("Examples:", *(question for question, _ in QUESTIONS))]
    assert places == sorted(places)
    assert [command.name for command in COMMANDS if f"\n  {command.name} " not in text] == []
    assert max(map(len, text.splitlines())) <= 80


def test_no_command_is_named_twice() -> None:
    names = [command.name for command in COMMANDS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("name", [command.name for command in COMMANDS if command.exists])
def test_each_command_shows_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    assert f"lab {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        pytest.param(["dmeo"], "did you mean demo?", id="near"),
        pytest.param(["xyzzy"], "./lab --help lists the commands", id="far"),
    ],
)
def test_an_unknown_command_is_wrong_usage(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"error: {words[0]!r} is not a command of lab\nhint: {hint}\n"


def test_the_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert f'version = "{capsys.readouterr().out.split()[1]}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_what_an_error_quotes_does_not_act_on_the_terminal() -> None:
    report = Report("no '\x1b[31m\u202eabc\udcff' with\nä", "\x07")
    assert report.lines() == [r"error: no '\x1b[31m\u202eabc\udcff' with ä", r"hint: \x07"]


def test_a_number_beyond_its_field_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="out of range") as raised:
        user_pb2.ListUsersRequest(page_size=2**31)
    told = Report("2147483648 is no number that a request can hold", "", 2)
    assert report_of(raised.value, tmp_path / "crash.log") == told


@pytest.mark.parametrize(("value", "said"), [("1", ""), ("", "a note\n")])
def test_the_variable_means_the_same_as_the_option_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str, said: str
) -> None:
    monkeypatch.setenv("LAB_QUIET", value)
    monkeypatch.setattr(output, "_muted", [])
    assert cli.main(["--version"]) == 0
    capsys.readouterr()
    output.note("a note")
    assert capsys.readouterr().err == said


def test_help_and_one_command_load_nothing_that_is_slow() -> None:
    code = (
        "import sys; from clients import cli; cli.main(['--help']); from tracelab.commands import demo;"
        "slow = {'grpc', 'rich', 'httpx', 'opentelemetry', 'starlette', 'psutil', 'structlog'} & set(sys.modules);"
        "sys.exit(', '.join(sorted(slow)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_output_goes_to_the_file_that_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "completion"
    assert cli.main(["completion", "bash", "--output", str(file)]) == 0
    assert capsys.readouterr().out == ""
    assert "_LAB_COMPLETE" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("lab tra", ["traces", "trace"]),
        ("lab learn retr", ["retry"]),
        ("lab truth deadl", ["deadline"]),
        ("lab trace last --view s", ["sequence"]),
        ("lab report top --strategy s", ["sequential", "streaming"]),
    ],
)
def test_a_shell_completes_commands_and_their_words(typed: str, completed: list[str]) -> None:
    words = typed.split()
    asked = {"_LAB_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "clients.cli"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **asked},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == completed


def test_output_without_a_file_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["status", "--output"], ["--output=", "status"]):
        assert cli.main(words) == 2
        assert capsys.readouterr().err.startswith("error: --output is missing its file")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(LabError("no", "do"), Report("no", "do", 1), id="of the command line"),
        pytest.param(SettingsError("X: 'y' is wrong"), Report("X: 'y' is wrong", "", 2), id="of a setting"),
        pytest.param(BackendUnreachableError("gone", "start"), Report("gone", "start", 1), id="of a reader"),
        pytest.param(
            MalformedTraceIdError("zz"),
            Report("trace id 'zz' is not 1 to 32 hex digits", "./lab traces lists those that exist", 2),
            id="of an argument",
        ),
        pytest.param(FileNotFoundError(2, "No such file", "x.csv"), Report("x.csv: No such file"), id="of the system"),
    ],
)
def test_errors_that_are_for_a_person_keep_their_sentence(error: Exception, expected: Report, tmp_path: Path) -> None:
    assert report_of(error, tmp_path / "crash.log") == expected


def test_a_fault_of_ours_shows_no_traceback_and_keeps_it_in_a_file(tmp_path: Path) -> None:
    crash_file = tmp_path / "home" / "crash.log"
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError as error:
        report = report_of(error, crash_file)
    assert report.lines()[0] == "error: ZeroDivisionError: by zero"
    assert str(crash_file) in report.hint
    assert "Traceback" in crash_file.read_text(encoding="utf-8")


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_words: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    assert cli.main(["demo"]) == 130


def test_the_menu_asks_again_and_runs_everything_for_0(capsys: pytest.CaptureFixture[str]) -> None:
    answers = iter(["7", "0"])
    ran: list[list[str]] = []

    def run_lab(words: list[str]) -> int:
        ran.append(words)
        return 5

    assert show_menu(run_lab, lambda _prompt: next(answers)) == 5
    assert ran == [["demo"]]
    assert "'7' is not one of" in capsys.readouterr().out


def test_the_menu_goes_on_where_a_service_runs_already(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter(["1", "q"])
    monkeypatch.setattr(cli_menu, "accepts_connections", lambda _address: True)
    monkeypatch.setattr(cli_menu, "service_serves", lambda _address, **_tls: True)
    assert show_menu(lambda _words: 5, lambda _prompt: next(answers)) == 0
    assert "user already runs at 127.0.0.1:50051" in capsys.readouterr().out


def test_the_common_options_are_taken_from_anywhere_but_not_from_a_commands_own_words() -> None:
    assert cli._take_common_options(["status", "--quiet", "--json"])[0] == ["status", "--json"]
    assert cli._take_common_options(["test", "--quiet"])[0] == ["test", "--quiet"]
    assert find_command("test").is_raw
