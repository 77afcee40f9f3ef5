"""What the page's files may not do, read from their text: markup from strings, foreign hosts, inline code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

VIEWER = Path(__file__).resolve().parents[2] / "otel" / "viewer"
SCRIPTS = sorted(VIEWER.glob("*.js"))
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|setHTMLUnsafe|srcdoc"
    r"|\beval\(|new Function|javascript:|setAttribute\(\s*[\"'](?:style|on)"
)
LINE_LIMIT = 400


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_markup_or_code_from_text(script: Path) -> None:
    assert FORBIDDEN.findall(script.read_text("utf-8")) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_module_says_what_it_is_and_stays_readable(script: Path) -> None:
    lines = script.read_text("utf-8").splitlines()

    assert lines[0].startswith("// ")
    assert len(lines) <= LINE_LIMIT


@pytest.mark.parametrize(
    "file",
    sorted(path for path in VIEWER.iterdir() if path.suffix in {".js", ".css", ".html", ".svg"}),
    ids=lambda path: path.name,
)
def test_nothing_comes_from_another_host(file: Path) -> None:
    text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")

    assert re.findall(r"""(?:src|href|url|import|from)\s*[=(]?\s*["'(]\s*(?:https?:)?//[\w.]""", text) == []


def test_the_page_has_no_inline_code_or_style() -> None:
    page = (VIEWER / "index.html").read_text("utf-8")

    assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", page) == []


@pytest.mark.parametrize("script", sorted(VIEWER.glob("*_model.js")), ids=lambda path: path.name)
def test_models_do_not_touch_the_document(script: Path) -> None:
    assert re.findall(r"\b(?:document|window|HTMLElement)\b|dom\.js", script.read_text("utf-8")) == []
