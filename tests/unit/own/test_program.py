"""What `lab run` makes of a command line: interpreter, service name, environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from clients.errors import WrongUsageError
from tracelab.own.program import INJECTED, PACKAGES, install_line, prepared, program_environ, program_of

PYTHON = sys.executable


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ([PYTHON, "app.py", "--port", "1"], "app"),
        ([PYTHON, "dir/shop-server.py"], "shop-server"),
        ([PYTHON, "-m", "shop.server"], "shop.server"),
        ([PYTHON, "-X", "dev", "-W", "error", "-u", "app.py"], "app"),
        ([PYTHON, "-c", "print()"], "python"),
        (["sh", "-c", "node app.js"], "sh"),
    ],
)
def test_a_service_is_named_after_its_program(words: list[str], name: str) -> None:
    assert program_of(words).service_name == name
    assert program_of(words, "shop").service_name == "shop"


def test_another_interpreter_takes_the_place_of_the_word_python_or_goes_in_front() -> None:
    assert program_of(["python", "app.py"], python=PYTHON).words == (PYTHON, "app.py")
    assert program_of(["python3.9", "app.py"], python=PYTHON).words == (PYTHON, "app.py")
    assert program_of(["app.py"], python=PYTHON).words == (PYTHON, "app.py")
    assert program_of(["sh", "x"]).interpreter is None


def test_the_environment_keeps_what_the_person_set_and_puts_our_folder_first() -> None:
    given = {"PYTHONPATH": "mine", "OTEL_RESOURCE_ATTRIBUTES": "a=b", "OTEL_TRACES_SAMPLER": "always_off"}
    made = program_environ(program_of([PYTHON, "app.py"]), given, "http://127.0.0.1:1", "r1")

    assert made["PYTHONPATH"] == f"{INJECTED}{os.pathsep}mine"
    assert made["OTEL_RESOURCE_ATTRIBUTES"] == "a=b,lab.run.id=r1"
    assert (made["OTEL_SERVICE_NAME"], made["OTEL_TRACES_SAMPLER"]) == ("app", "always_off")
    assert "LAB_RUN_PACKAGES" not in made


def fake_python(folder: Path, printed: str) -> str:
    path = folder / "python3"
    path.write_text(f"#!/bin/sh\necho '{printed}'\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_our_own_interpreter_lacks_nothing() -> None:
    assert not prepared(program_of([PYTHON, "app.py"])).brings_packages


def test_what_an_interpreter_lacks_is_brought_along_where_ours_fits_it(tmp_path: Path) -> None:
    tag = sys.implementation.cache_tag
    python = fake_python(tmp_path, f'{{"version": [3, 11], "tag": "{tag}", "missing": ["structlog"]}}')

    program = prepared(program_of([python, "app.py"]))

    assert program.brings_packages
    assert Path(program_environ(program, {}, "", "")["LAB_RUN_PACKAGES"]).is_dir()


def test_where_ours_does_not_fit_one_line_says_what_to_install(tmp_path: Path) -> None:
    python = fake_python(
        tmp_path, '{"version": [3, 14], "tag": "other-314", "missing": ["opentelemetry.sdk", "orjson"]}'
    )

    with pytest.raises(WrongUsageError, match="lacks opentelemetry-sdk, orjson") as caught:
        prepared(program_of([python, "app.py"]))

    assert caught.value.hint == install_line(python)
    assert caught.value.hint.startswith(f"{python} -m pip install opentelemetry-sdk==")
    assert all(package in caught.value.hint for package in PACKAGES)


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ('{"version": [3, 8], "tag": "x", "missing": []}', "is Python 3.8; tracing needs 3.11"),
        ("hello", "does not run"),
    ],
)
def test_an_interpreter_that_is_too_old_or_none_is_refused(tmp_path: Path, printed: str, said: str) -> None:
    with pytest.raises(WrongUsageError, match=said):
        prepared(program_of([fake_python(tmp_path, printed), "app.py"]))


def test_a_program_that_is_not_there_is_refused() -> None:
    with pytest.raises(WrongUsageError, match="'no-such-program' is no program"):
        program_of(["no-such-program"])
