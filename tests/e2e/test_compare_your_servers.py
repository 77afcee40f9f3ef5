"""`lab compare` on other people's servers: started or running, in two languages, behind TLS. No time is asserted."""

from __future__ import annotations

import json
import os
import shlex
import sys
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import node_sender
from tests.e2e.lab_process import Lab
from tests.e2e.outsiders import hello_folder, started, with_slow_server, with_tls

pytestmark = pytest.mark.timeout(240)

SAY_HELLO = ("--call", "hello.Greeter/SayHello")
ANA = ("--data", '{"name": "Ana"}')
DELAY_S = 0.1
SHORT = ("--max-seconds", "10", "--seed", "7", "--json")


def ok_shares(found: dict[str, Any]) -> dict[str, float]:
    """What share of each server's calls was answered."""
    named = [one for one in found["variants"] if one["role"] in ("baseline", "variant")]
    return {one["name"]: one["ok_count"] / one["call_count"] for one in named}


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_slow_server(hello_folder(tmp_path_factory.mktemp("hello")), delay_s=DELAY_S)


@pytest.fixture(name="lab", scope="module")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("yours") / "home")


def share_of_delay(rows: list[dict[str, Any]]) -> float:
    """How much of the delay these rows tell; the whole difference has what else the machine did in it, too."""
    told: float = sum(row["difference_ns"] for row in rows)
    return told / (DELAY_S * 1e9)


def program(folder: Path, script: str) -> str:
    return shlex.join([sys.executable, str(folder / script), "--port", "0"])


def compared(lab: Lab, *words: str, **environ: str) -> dict[str, Any]:
    done = lab.run("compare", *words, **environ)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_of_two_builds_that_it_starts_it_says_which_is_slower_and_in_which_operation(lab: Lab, folder: Path) -> None:
    builds = (
        "--run",
        f"old={program(folder, 'greeter_server.py')}",
        "--run",
        f"new={program(folder, 'slow_server.py')}",
    )
    found = compared(lab, *builds, *SAY_HELLO, *ANA, *SHORT, "--save", "builds", "--html", str(folder / "page.html"))

    assert [(one["variant"], one["verdict"]) for one in found["comparisons"] if one["quantile"] == "median"] == [
        ("new", "slower")
    ]
    (breakdown,) = found["decomposition"]
    largest = max(breakdown["rows"], key=itemgetter("difference_ns"))
    assert (largest["operation"], largest["kind"]) == ("Greeter/SayHello", "server")
    served = [row for row in breakdown["rows"] if row["operation"] == "Greeter/SayHello" and row["kind"] == "server"]
    assert share_of_delay(served) >= 0.9
    assert json.loads(lab.run("compare", "--saved", "builds", "--json").stdout) == found
    assert "hello.Greeter/SayHello" in (folder / "page.html").read_text(encoding="utf-8")


def test_servers_that_run_get_the_requests_of_a_file_in_turn_and_a_sentence_where_they_send_no_spans(
    lab: Lab, folder: Path
) -> None:
    (folder / "requests.jsonl").write_text('{"name": "Ana"}\n\n{"name": "Bia"}\n', encoding="utf-8")
    words, environ = [sys.executable, "greeter_server.py", "--port", "0"], {"PATH": os.environ["PATH"]}
    with started(words, folder, environ, "a") as first, started(words, folder, environ, "b") as second:
        targets = ("--target", f"a={first.address}", "--target", f"b={second.address}")
        found = compared(lab, *targets, *SAY_HELLO, "--data", f"@{folder / 'requests.jsonl'}", *SHORT)
        counts = {name: second.text.count(f"saying hello to {name}") for name in ("Ana", "Bia")}

    assert ok_shares(found) == {"a": 1, "b": 1}
    assert counts["Ana"] > 10
    assert abs(counts["Ana"] - counts["Bia"]) <= counts["Ana"] * 0.1
    assert [note for note in found["notes"] if note.startswith("no spans of a and b came")]


def test_a_server_in_node_with_instrumentation_of_its_own_is_broken_down_too(lab: Lab, folder: Path) -> None:
    node = shlex.join(
        ["node", "--require", str(folder / "tracing.cjs"), str(folder / "greeter_server.cjs"), "--port", "0"]
    )
    pair = ("--run", f"node={node}", "--run", f"python={program(folder, 'slow_server.py')}")
    contract = ("--proto", str(folder / "hello.proto"))
    packages = str(node_sender.installed() / "node_modules")
    found = compared(lab, *pair, *contract, *SAY_HELLO, *ANA, *SHORT, NODE_PATH=packages)

    (breakdown,) = found["decomposition"]
    assert max(breakdown["rows"], key=itemgetter("difference_ns"))["kind"] == "server"
    assert share_of_delay([row for row in breakdown["rows"] if row["kind"] == "server"]) >= 0.9
    assert [one["verdict"] for one in found["comparisons"] if one["quantile"] == "median"] == ["slower"]
    assert not [note for note in found["notes"] if note.startswith("no spans")]


def test_servers_behind_tls_are_compared_over_tls(lab: Lab, folder: Path) -> None:
    with_tls(folder)
    words, environ = [sys.executable, "tls_server.py"], {"PATH": os.environ["PATH"]}
    tls = ("--ca", str(folder / "ca.pem"), "--server-name", "greeter.test")
    with started(words, folder, environ, "tls-a") as first, started(words, folder, environ, "tls-b") as second:
        targets = ("--target", f"a={first.address}", "--target", f"b={second.address}")
        found = compared(lab, *targets, *tls, *SAY_HELLO, *ANA, *SHORT)
        in_the_clear = lab.run("compare", *targets, *SAY_HELLO, *ANA)

    assert ok_shares(found) == {"a": 1, "b": 1}
    assert in_the_clear.returncode == 1
    assert in_the_clear.stderr.splitlines()[-2].startswith("error: a: ")
