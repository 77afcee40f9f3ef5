"""Mistakes on the command line: one line, at most one hint, exit 2, and never a traceback."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clients import cli, error_report
from clients.error_report import report_of


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["user", "get"], "USER_ID is missing", id="id"),
        pytest.param(["order", "import"], "FILE.csv is missing", id="file"),
        pytest.param(["user", "batch-get"], "USER_ID is missing", id="several"),
        pytest.param(["diff"], "A is missing", id="first of two"),
        pytest.param(["diff", "0af7"], "B is missing", id="second of two"),
        pytest.param(["completion"], "SHELL is missing", id="word"),
        pytest.param(["user", "create"], "--name is missing", id="option"),
    ],
)
def test_what_is_missing_is_named_as_the_help_names_it(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.splitlines()[0]) == ("", f"error: {message}")
    assert said.err.splitlines()[1].startswith("hint: ./lab ")


@pytest.mark.parametrize("given", ["inf", "nan", "1e10", "0", "-1", "soon"])
def test_a_timeout_that_no_call_can_have_is_wrong_usage(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["user", "list", "--timeout", given]) == 2
    assert capsys.readouterr().err.startswith(f"error: --timeout: {given!r} is no")


def test_a_word_that_is_none_of_those_there_are_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["truth", "--api", "foo"]) == 2
    assert capsys.readouterr().err.startswith("error: --api: 'foo' is not one of 'aio', 'sync'")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_where_the_output_finds_no_room_one_line_says_so(unbuffered: str) -> None:
    environ = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "clients.cli", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environ,
            text=True,
        )
    assert done.returncode == 1
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_file_that_cannot_be_read_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], is_folder: bool
) -> None:
    file = tmp_path if is_folder else tmp_path / "none.csv"
    assert cli.main(["order", "import", str(file)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: FILE.csv: ")
    assert str(file) in said
    assert "Traceback" not in said


def test_explaining_an_error_never_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_error: object) -> None:
        raise AttributeError("no name")

    monkeypatch.setattr(error_report, "_usage_report", fails)
    error = ValueError("first")
    error.format_message = str  # type: ignore[attr-defined]  # as an error of the parser
    report = report_of(error, tmp_path / "crash.log")
    assert (report.message, report.exit_code) == ("AttributeError: no name", 1)


def test_a_group_without_a_command_shows_its_help_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["user"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Usage: lab user")
    assert "\n  create " in said.err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        pytest.param(["traces", "--span"], "./lab traces --help shows what it takes", id="unlike"),
        pytest.param(["traces", "--servce"], "did you mean --service?", id="alike"),
    ],
)
def test_an_option_is_suggested_only_where_its_letters_are_alike(
    words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"hint: {hint}"


def test_help_of_a_command_can_be_asked_for_in_front(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["help", "completion"]) == 0
    assert capsys.readouterr().out.startswith("Usage: lab completion")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--json", "user", "list"], ["user", "list", "--json"]),
        (["user", "--json", "list", "--", "x"], ["user", "list", "--json", "--", "x"]),
        (["status", "--json"], ["status", "--json"]),
        (["order", "create", "--note", "--json"], ["order", "create", "--note", "--json"]),
        (["--json"], ["--json"]),
    ],
    ids=["before the command", "before its subcommand", "last", "a value", "alone"],
)
def test_json_may_stand_before_the_command(words: list[str], expected: list[str]) -> None:
    assert cli._take_common_options(words)[0] == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["user", "list", "--ca", "ca.pem", "--page-size", "2"],
            ["user", "--ca", "ca.pem", "list", "--page-size", "2"],
        ),
        (["report", "top", "--cert=c", "--key", "k"], ["report", "--cert=c", "--key", "k", "top"]),
        (["order", "list", "--plaintext", "--json"], ["order", "--plaintext", "list", "--json"]),
        (["user", "list", "--ca"], ["user", "--ca", "list"]),
        (["call", "h:1", "--ca", "ca.pem"], ["call", "h:1", "--ca", "ca.pem"]),
    ],
    ids=["a file", "both spellings", "none of them", "a value forgotten", "another command"],
)
def test_how_our_services_are_reached_may_stand_behind_the_subcommand(words: list[str], expected: list[str]) -> None:
    assert cli._take_common_options(words)[0] == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--plaintext", "--ca", "FILE"], "error: --plaintext and the options of TLS exclude each other"),
        (["--ca", "FILE", "--cert", "FILE"], "error: --cert and --key belong together"),
        (["--cert", "FILE", "--key", "FILE"], "error: --cert is shown to a server that is trusted: --ca is missing"),
    ],
)
def test_options_that_do_not_fit_together_are_refused_before_a_call(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(Path(__file__))
    assert cli.main(["user", "list", *(file if word == "FILE" else word for word in words)]) == 2
    assert capsys.readouterr().err.startswith(said)


def test_certificates_may_be_named_for_a_command_that_prints_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    monkeypatch.setattr(cli, "_take_certificates", taken.append)
    words = ["compare", "--certs", "folder", "a", "b", "--output", "x", "--quiet"]
    assert cli._take_common_options(words) == (["compare", "a", "b", "--output", "x", "--quiet"], "")
    assert taken == ["folder"]


def test_a_reader_that_has_seen_enough_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def write(self, _text: str) -> int:
            return 0

        def flush(self) -> None:
            raise BrokenPipeError

        def fileno(self) -> int:
            raise ValueError

    monkeypatch.setattr(cli, "_run", lambda _words: 1)
    monkeypatch.setattr(sys, "stdout", Closed())
    assert cli.main(["order"]) == 0


@pytest.mark.parametrize("words", [["--help"], ["learn"], ["learn", "--json"]], ids=" ".join)
def test_a_reader_that_left_before_all_was_written_is_no_failure(words: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}  # so that what is short fails in its midst, too
    command = [sys.executable, "-m", "clients.cli", *words]
    ended = subprocess.run(command, env=environ, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_closed_standard_input_is_no_terminal() -> None:
    code = "import os, sys; from clients import cli; sys.stdin = None; sys.exit(cli.main([]))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EROFS, "can be written with LAB_HOME"), (errno.ENOSPC, "free some space")],
    ids=["read-only", "full"],
)
def test_a_home_that_cannot_be_written_is_named_with_its_variable(tmp_path: Path, number: int, words: str) -> None:
    report = report_of(OSError(number, "no", str(tmp_path / "logs")), tmp_path / "crash.log")
    assert words in report.hint
    assert str(tmp_path) in report.hint


def test_a_file_elsewhere_gets_no_hint_about_the_home(tmp_path: Path) -> None:
    assert report_of(PermissionError(13, "denied", "/x/y.csv"), tmp_path / "crash.log").hint == ""


def test_a_closed_stream_takes_what_nobody_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.main(["--help"]) == 0
    assert cli.main(["frobnicate"]) == 2


def test_bytes_that_are_not_utf_8_are_wrong_usage_and_no_fault_of_the_lab(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError) as undecoded:
        "\udcff".encode()
    report = report_of(undecoded.value, tmp_path / "crash.log")
    assert (report.message, report.exit_code) == ("a word of the command is not UTF-8", 2)
