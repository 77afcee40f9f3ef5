"""The script `lab`: makes .venv once, starts at once afterwards, and mends what an interruption left.

Each test has a small repository of its own, whose locks are empty and whose command line only says how it was called.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.polling import eventually

ROOT = Path(__file__).resolve().parents[2]
COMMAND_LINE = """\
import os, sys
print(os.getcwd(), sys.prefix, *sys.argv[1:], sep="|")
"""
# Stands in for uv, quickly: notes how it was called, makes an environment without pip, refuses a lock that says so.
UV = f"""\
echo "$*" >> "${{0%/*}}/calls"
case $1 in
venv) for last; do :; done; exec {sys.executable} -m venv --without-pip "$last" ;;
pip) for word; do case $word in *.txt) ! grep -q no-such-package "$word" || exit 1 ;; esac; done ;;
esac
"""
PYTHON = f'exec {sys.executable} "$@"'
INSTALLING = "lab: installing the locked packages of {} into .venv (once; about a minute)\n"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="lab is a POSIX script; lab.ps1 is its like on Windows")


def make_repository(path: Path) -> Path:
    (path / "clients").mkdir(parents=True)
    shutil.copy(ROOT / "lab", path / "lab")
    (path / "clients" / "cli.py").write_text(COMMAND_LINE)
    for lock in ("requirements.txt", "requirements-dev.txt"):
        (path / lock).write_text(f"# {lock}\n")
    return path


def tools(path: Path, **extra: str) -> Path:
    """Make a folder for PATH with what the script needs of POSIX, and one executable per item of `extra`."""
    path.mkdir()
    for name in ("cat", "cmp", "cp", "dirname", "grep", "mkdir", "readlink", "rm", "rmdir", "sh", "sleep"):
        (path / name).symlink_to(str(shutil.which(name)))
    for name, body in extra.items():
        (path / name).write_text(f"#!/bin/sh\n{body}\n")
        (path / name).chmod(0o755)
    return path


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tools(tmp_path / "bin", python3=PYTHON, uv=UV)


@pytest.fixture(name="repository")
def _repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "lab folder")  # a space, as people have them


Lab = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(name="lab")
def _lab(repository: Path, path: Path) -> Lab:
    def run(
        *arguments: str, script: Path = repository / "lab", cwd: Path = repository
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(script), *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, env={"PATH": str(path)}
        )

    return run


def test_the_first_use_says_what_it_does_and_later_ones_start_at_once(lab: Lab, repository: Path) -> None:
    first, second = lab("demo", "--json"), lab("demo", "--json")
    said = f"{repository}|{repository / '.venv'}|demo|--json\n"
    assert (first.returncode, first.stdout, first.stderr) == (0, said, INSTALLING.format("requirements.txt"))
    assert (second.returncode, second.stdout, second.stderr) == (0, said, "")
    assert not (repository / ".venv.lock").exists()


def test_it_works_from_any_folder_and_through_a_link_and_keeps_the_callers_folder(
    lab: Lab, repository: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "clients").mkdir(parents=True)
    (elsewhere / "clients" / "cli.py").write_text("raise SystemExit('the wrong clients')")
    link = elsewhere / "lab"
    link.symlink_to(os.path.relpath(repository / "lab", elsewhere))
    ran = lab("status", script=link, cwd=elsewhere)
    assert ran.stdout == f"{elsewhere}|{repository / '.venv'}|status\n", ran.stderr


def test_the_tests_get_the_development_packages_and_everything_else_does_not(lab: Lab, repository: Path) -> None:
    lab("order", "test")
    assert not (repository / ".venv" / "lab-requirements-dev.txt").exists()
    assert lab("--no-color", "test").stderr == INSTALLING.format("requirements-dev.txt")
    assert [lab("test").stderr, lab("demo").stderr] == ["", ""]


def test_changed_requirements_are_installed_into_the_environment_that_is_there(lab: Lab, repository: Path) -> None:
    lab()
    kept = repository / ".venv" / "kept"
    kept.touch()
    (repository / "requirements.txt").write_text("# newer\n")
    assert lab().stderr == INSTALLING.format("requirements.txt")
    assert kept.exists()
    assert lab().stderr == ""


def test_an_interrupted_first_use_is_mended_by_the_next(lab: Lab, repository: Path) -> None:
    lab()
    (repository / ".venv" / "lab-unfinished").touch()
    half = repository / ".venv" / "half-installed"
    half.touch()
    mended = lab("demo")
    assert (mended.returncode, half.exists()) == (0, False)
    assert lab().stderr == ""


def test_an_environment_whose_python_went_away_is_made_anew(lab: Lab, repository: Path) -> None:
    lab()
    (repository / ".venv" / "bin" / "python").unlink()
    assert lab().returncode == 0


def test_a_moved_folder_gets_a_new_environment_since_scripts_name_their_place(
    lab: Lab, repository: Path, tmp_path: Path
) -> None:
    lab()
    moved = tmp_path / "moved"
    repository.rename(moved)
    ran = lab(script=moved / "lab", cwd=moved)
    assert ran.stdout == f"{moved}|{moved / '.venv'}\n"
    assert ran.stderr == INSTALLING.format("requirements.txt")


def test_an_environment_made_by_hand_is_filled_not_replaced(lab: Lab, repository: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", repository / ".venv"], check=True, timeout=60)
    own = repository / ".venv" / "own"
    own.touch()
    assert lab().returncode == 0
    assert own.exists()


def test_of_two_first_uses_at_once_one_installs_and_both_run(repository: Path, path: Path) -> None:
    started = [
        subprocess.Popen(
            [str(repository / "lab"), str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": str(path)},
        )
        for number in range(2)
    ]
    ended = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0, 0], ended
    assert sorted(out.rpartition("|")[2] for out, _ in ended) == ["0\n", "1\n"]
    assert "".join(err for _, err in ended).count("installing") == 1


def test_the_lock_of_a_killed_first_use_is_inherited(lab: Lab, repository: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    (repository / ".venv.lock").mkdir()
    (repository / ".venv.lock" / "pid").write_text(f"{ended.pid}\n")
    assert lab().returncode == 0
    assert not (repository / ".venv.lock").exists()


def test_the_lock_of_a_living_first_use_is_waited_for(repository: Path, path: Path) -> None:
    lock = repository / ".venv.lock"
    lock.mkdir()
    (lock / "pid").write_text(f"{os.getpid()}\n")
    said = repository / "said"
    with said.open("w") as stream:
        waiting = subprocess.Popen([str(repository / "lab")], stdout=stream, stderr=stream, env={"PATH": str(path)})
        try:
            eventually(lambda: "another ./lab is making .venv" in said.read_text())
            assert waiting.poll() is None
            shutil.rmtree(lock)
            assert waiting.wait(timeout=60) == 0
        finally:
            waiting.kill()
            waiting.wait()


def test_a_failed_installation_is_said_and_the_next_use_starts_over(lab: Lab, repository: Path) -> None:
    (repository / "requirements.txt").write_text("./no-such-package\n")
    failed = lab("demo")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "error: the packages of requirements.txt could not be installed\nhint: " in failed.stderr
    assert not (repository / ".venv.lock").exists()
    (repository / "requirements.txt").write_text("# mended\n")
    assert lab("demo").returncode == 0


def test_where_the_tests_packages_cannot_be_had_everything_else_goes_on(lab: Lab, repository: Path) -> None:
    lab("up")
    (repository / "requirements-dev.txt").write_text("./no-such-package\n")
    failed = lab("test")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "error: the packages of requirements-dev.txt could not be installed\nhint: " in failed.stderr
    assert (lab("down").returncode, lab("down").stderr) == (0, "")
    (repository / "requirements-dev.txt").write_text("# mended\n")
    assert lab("test").stderr == INSTALLING.format("requirements-dev.txt")


def test_without_a_recent_python_it_says_which_is_needed_and_how_to_name_one(repository: Path, tmp_path: Path) -> None:
    old = tools(tmp_path / "old", python3='[ "$1" = -V ] && echo Python 3.9.2 || exit 1')
    ran = subprocess.run([repository / "lab"], capture_output=True, text=True, timeout=60, env={"PATH": str(old)})
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: no Python 3.11 or newer found (python3 is Python 3.9.2)\nhint: ")
    named = {"PATH": str(tools(tmp_path / "named", uv=UV, python3="exit 1")), "PYTHON": sys.executable}
    assert subprocess.run([repository / "lab"], capture_output=True, timeout=60, env=named).returncode == 0


def test_without_any_python_it_says_so_before_it_says_that_it_installs(repository: Path, tmp_path: Path) -> None:
    none = {"PATH": str(tools(tmp_path / "none"))}
    ran = subprocess.run([repository / "lab"], capture_output=True, text=True, timeout=60, env=none)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("error: no Python 3.11 or newer found (there is no python3)\nhint: ")
    assert not (repository / ".venv.lock").exists()


def test_a_python_that_is_named_and_of_no_use_is_not_replaced_by_another(repository: Path, path: Path) -> None:
    named = {"PATH": str(path), "PYTHON": "/nope"}
    ran = subprocess.run([repository / "lab"], capture_output=True, text=True, timeout=60, env=named)
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: PYTHON=/nope is no Python 3.11 or newer\nhint: ")
    assert not (repository / ".venv").exists()


def test_on_a_terminal_pip_shows_that_it_goes_on_and_whether_it_worked(repository: Path, tmp_path: Path) -> None:
    environment = {"PATH": str(tools(tmp_path / "without-uv", python3=PYTHON))}
    for requirement, works in (("# none\n", True), ("./no-such-package\n", False)):
        (repository / "requirements.txt").write_text(requirement)
        terminal, its_other_end = os.openpty()
        try:
            ran = subprocess.run(
                [repository / "lab"], stdout=subprocess.PIPE, stderr=its_other_end, timeout=100, env=environment
            )
            shown = os.read(terminal, 65536).decode()
        finally:
            os.close(terminal)
            os.close(its_other_end)
        assert (ran.returncode == 0) == works
        assert ("could not be installed" in shown) != works
        assert "installing the locked packages" in shown


def test_a_python_without_its_venv_module_is_said_with_the_package_to_install(repository: Path, tmp_path: Path) -> None:
    body = f'case "$*" in *ensurepip*) exit 1 ;; esac\nexec {sys.executable} "$@"'
    bare = tools(tmp_path / "bare", python3=body)
    ran = subprocess.run([repository / "lab"], capture_output=True, text=True, timeout=60, env={"PATH": str(bare)})
    assert ran.returncode == 1
    assert f"error: {bare / 'python3'} has no venv module\nhint: on Debian and Ubuntu: apt install" in ran.stderr


def test_uv_is_used_where_it_is(lab: Lab, repository: Path, path: Path) -> None:
    lab("demo")
    made, installed = (path / "calls").read_text().splitlines()
    assert made == f"venv --quiet --python {path / 'python3'} {repository / '.venv'}"
    requirement = f"--no-deps --require-hashes --requirement {repository / 'requirements.txt'}"
    assert installed == f"pip install --quiet {requirement} --python {repository / '.venv' / 'bin' / 'python'}"


def test_without_uv_pip_does_it_and_a_failure_leads_to_a_new_start(repository: Path, tmp_path: Path) -> None:
    environment = {"PATH": str(tools(tmp_path / "without-uv", python3=PYTHON))}

    def lab() -> subprocess.CompletedProcess[str]:
        return subprocess.run([repository / "lab"], capture_output=True, text=True, timeout=100, env=environment)

    (repository / "requirements.txt").write_text("./no-such-package\n")
    failed = lab()
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "error: the packages of requirements.txt could not be installed\nhint: " in failed.stderr
    (repository / "requirements.txt").write_text("# mended\n")
    assert lab().returncode == 0
