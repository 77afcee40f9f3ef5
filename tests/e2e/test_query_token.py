"""A backend that asks for its token: `lab` brings it, whoever does not is told what is missing, and no log holds it."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.e2e.lab_process import FOUR_LINES, Lab
from tests.polling import eventually

TOKEN = "e2e-token-0123456789"


def test_the_demo_proves_its_trace_behind_a_token_that_stands_in_no_log(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "home")
    done = lab.run("demo", "--ports", "auto", "--no-wait", LAB_QUERY_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert [line for line in FOUR_LINES if line not in done.stdout] == []
    assert "joined to a span    6 of 6" in done.stdout
    logs = [path.read_text(encoding="utf-8") for path in (tmp_path / "home").rglob("*.log")]
    assert logs
    assert [text for text in (done.stdout, done.stderr, *logs) if TOKEN in text] == []


def test_who_brings_no_token_is_told_where_it_belongs(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "home")
    running = lab.start("up", "--only", "backend", "--ports", "auto", LAB_QUERY_TOKEN=TOKEN)
    try:
        record = eventually(lab.record, within_s=30.0)
        assert record is not None
        (backend,) = record.processes
        url = f"http://{backend.addresses['query']}"
        assert httpx.get(f"{url}/api/v3/services").status_code == 401
        assert lab.json("traces", LAB_QUERY_TOKEN=TOKEN)["traces"] == []
        refused = lab.run("traces")
        assert refused.returncode == 1
        assert refused.stderr == (
            f"error: {url} asks for its token, or for another\n"
            "hint: LAB_QUERY_TOKEN holds it, for readers as for the backend\n"
        )
        assert json.loads(lab.run("status", "--json").stdout)["processes"][0]["health"] == "healthy"
    finally:
        running.terminate()
        running.communicate(timeout=30)


@pytest.mark.parametrize("token", ["short", "with space in it......", "ümlaut-0123456789abc"])
def test_a_token_that_is_none_ends_the_start(tmp_path: Path, token: str) -> None:
    done = Lab(tmp_path / "home").run("up", "--only", "backend", "--ports", "auto", LAB_QUERY_TOKEN=token)
    assert done.returncode != 0
    assert "LAB_QUERY_TOKEN: a token is 16 characters or more" in done.stderr
    assert token not in done.stderr
