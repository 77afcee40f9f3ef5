"""The contracts: stubs equal what the protos make, buf's rules hold, and nothing published breaks."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"
GENERATED = ROOT / "generated"
NAMES = sorted(path.stem for path in PROTO.glob("*.proto"))


def run(*command: str, cwd: Path = ROOT, **extra: str) -> subprocess.CompletedProcess[str]:
    scripts = str(Path(sys.executable).parent)  # protoc finds its plugins there
    return subprocess.run(  # a bounded run of a tool of our own environment
        command, cwd=cwd, capture_output=True, text=True, timeout=60, env={"PATH": f"{scripts}:/usr/bin:/bin", **extra}
    )


def buf(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as cache:  # without a home it would make its cache where it stands
        return run(str(Path(sys.executable).with_name("buf")), *arguments, cwd=cwd, BUF_CACHE_DIR=cache)


def protoc(out: Path, proto: Path = PROTO) -> subprocess.CompletedProcess[str]:
    outputs = [f"--{kind}={out}" for kind in ("python_out", "grpc_python_out", "mypy_out", "mypy_grpc_out")]
    files = [f"generated/{path.name}" for path in sorted(proto.glob("*.proto"))]
    return run(sys.executable, "-m", "grpc_tools.protoc", f"-Igenerated={proto}", *outputs, *files)


def test_the_three_contracts_of_the_seed_are_there() -> None:
    assert NAMES == ["order", "report", "user"]


def test_the_committed_stubs_equal_what_the_protos_make_byte_for_byte(tmp_path: Path) -> None:
    made = protoc(tmp_path)
    assert made.returncode == 0, made.stderr
    fresh = {path.name: path.read_bytes() for path in (tmp_path / "generated").iterdir()}
    committed = {path.name: path.read_bytes() for path in GENERATED.glob("*_pb2*.py*")}
    stale = sorted(name for name in fresh.keys() | committed.keys() if fresh.get(name) != committed.get(name))
    assert stale == [], "the stubs have drifted from proto/; run ./lab stubs"


def test_a_changed_contract_shows_as_drift(tmp_path: Path) -> None:
    changed = tmp_path / "proto"
    shutil.copytree(PROTO, changed)
    user = changed / "user.proto"
    text = user.read_text(encoding="utf-8").replace("rpc GetUser(", "rpc FetchUser(")
    user.write_text(text, encoding="utf-8")
    made = protoc(tmp_path, changed)
    assert made.returncode == 0, made.stderr
    fresh = (tmp_path / "generated" / "user_pb2_grpc.py").read_bytes()
    assert fresh != (GENERATED / "user_pb2_grpc.py").read_bytes()


def test_every_file_in_generated_comes_from_a_proto() -> None:
    expected = {f"{name}_{kind}" for name in NAMES for kind in ("pb2.py", "pb2.pyi", "pb2_grpc.py", "pb2_grpc.pyi")}
    present = {path.name for path in GENERATED.iterdir() if path.is_file()}
    assert present == expected | {"__init__.py", "service_config.json"}


def test_the_stubs_name_the_grpcio_that_is_locked() -> None:
    for name in NAMES:
        text = (GENERATED / f"{name}_pb2_grpc.py").read_text(encoding="utf-8")
        assert f"GRPC_GENERATED_VERSION = '{importlib.metadata.version('grpcio-tools')}'" in text


def test_buf_lint_finds_nothing() -> None:
    linted = buf("lint", "proto")
    assert (linted.returncode, linted.stdout) == (0, ""), linted.stdout + linted.stderr


def test_each_lint_rule_that_is_left_out_has_its_reason_beside_it() -> None:
    text = (PROTO / "buf.yaml").read_text(encoding="utf-8")
    excepted = text.partition("  except:\n")[2].partition("  disallow_comment_ignores: true\n")[0].splitlines()
    assert [line.strip() for line in excepted if not line.strip().startswith("# ")] == [
        "- PACKAGE_DIRECTORY_MATCH",
        "- DIRECTORY_SAME_PACKAGE",
    ]
    assert excepted[0].strip().startswith("# ")


def commits_with_other_protos() -> list[str]:
    """Name the commits whose proto folder differs from the one checked out, newest first; none in a bare export."""
    listed = run("git", "log", "--format=%H", "--", "proto")
    if listed.returncode != 0:
        return []
    return [
        commit
        for commit in listed.stdout.split()
        if run("git", "diff", "--quiet", commit, "--", "proto").returncode == 1
        and run("git", "ls-tree", "--name-only", commit, "proto/").stdout.strip()
    ]


def test_nothing_breaks_for_those_who_use_the_newest_earlier_contracts(tmp_path: Path) -> None:
    earlier = commits_with_other_protos()
    if not earlier:
        pytest.skip("no earlier commit has other protos than these")
    against = tmp_path / "earlier"
    against.mkdir()
    archive = tmp_path / "protos.tar"
    written = run("git", "archive", f"--output={archive}", earlier[0], "proto")
    assert written.returncode == 0, written.stderr
    shutil.unpack_archive(archive, against, filter="data")
    broken = buf("breaking", "proto", "--against", str(against / "proto"))
    assert broken.returncode == 0, f"against {earlier[0][:12]}:\n{broken.stdout}{broken.stderr}"


def test_a_field_that_gets_another_number_is_caught_as_breaking(tmp_path: Path) -> None:
    changed = tmp_path / "proto"
    shutil.copytree(PROTO, changed)
    user = changed / "user.proto"
    text = user.read_text(encoding="utf-8")
    first = next(line for line in text.splitlines() if line.startswith("  string ") and line.endswith(" = 1;"))
    user.write_text(text.replace(first, first.replace("= 1;", "= 99;"), 1), encoding="utf-8")
    broken = buf("breaking", str(changed), "--against", str(PROTO))
    assert broken.returncode == 100
    assert "was deleted" in broken.stdout


def test_the_plain_command_of_the_seed_writes_messages_too(tmp_path: Path) -> None:
    made = run(
        sys.executable, "-m", "grpc_tools.protoc", "-I", "proto",
        f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}", *(f"proto/{name}.proto" for name in NAMES),
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert {path.name for path in tmp_path.iterdir()} == {f"{n}_{k}.py" for n in NAMES for k in ("pb2", "pb2_grpc")}
