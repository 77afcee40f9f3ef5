"""A lesson as an HTML page: its text, what was seen, and its traces beside it. Needs no script.

The pages of `--html` and of `--serve` are the same; they differ in where the traces are and in the run button. Every
word in a page is escaped, whoever wrote it.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tracelab.learn.lesson import Chapter, Lesson

STYLE: Final = """
:root { color-scheme: light dark; --line: #8885;
  --good: light-dark(#0a6b2d, #6fd58f); --bad: light-dark(#a11, #ff9a9a); }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem 1.25rem 4rem; font: 1rem/1.55 system-ui, sans-serif; }
nav, .dim { opacity: .8; font-size: .9rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .75rem 0; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.text { max-width: 46rem; }
details { border: 1px solid var(--line); border-radius: .4rem; padding: .4rem .75rem; margin: .4rem 0;
  max-width: 46rem; }
summary { cursor: pointer; }
ul.facts { list-style: none; padding: 0; }
ul.facts .seen { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
.held { color: var(--good); } .failed { color: var(--bad); font-weight: 600; }
.notice { font-weight: 600; border-left: .25rem solid currentColor; padding-left: .75rem; }
details.run[open] { max-width: none; }
iframe { width: 100%; height: 34rem; border: 1px solid var(--line); border-radius: .4rem; }
pre { overflow-x: auto; border: 1px solid var(--line); border-radius: .4rem; padding: .75rem; }
button { font: inherit; padding: .4rem 1.2rem; cursor: pointer; }
a { color: light-dark(#0b57a8, #8cc2ff); }
"""
LETTERS: Final = "abc"
SEEN: Final = "seen"
"""The id of what a run showed, or of why it showed nothing."""
_CODE: Final = re.compile("`([^`]+)`")


def index_page(lessons: Sequence[Lesson], *, prefix: str = "", suffix: str = "") -> str:
    """The list of all lessons by chapter; a lesson's address is its slug between `prefix` and `suffix`."""
    parts = ["<h1>gRPC Trace Lab: the lessons</h1>"]
    parts.append(
        "<p class=text>Each is a real scenario on real servers, with its trace and facts that were checked.</p>"
    )
    for number, chapter in enumerate(Chapter, start=1):
        rows = [
            f'<li><a href="{prefix}{lesson.slug}{suffix}">{_text(lesson.slug)}</a>: {_prose(lesson.question)}</li>'
            for lesson in lessons
            if lesson.chapter is chapter
        ]
        parts.append(f"<h2>Chapter {number}: {_text(chapter.value)}</h2><ol>{''.join(rows)}</ol>")
    return _document("The lessons", "".join(parts))


def lesson_page(
    lesson: Lesson,
    outcome: Mapping[str, Any] | None,
    traces: Sequence[str],
    *,
    home: str,
    complaint: str = "",
    run_action: str = "",
    following: tuple[str, str] | None = None,
) -> str:
    """One lesson. `outcome` is the JSON form of a run, `traces` the addresses of its exhibits in order.

    `following` is the slug and the address of the lesson to go on with.
    """
    parts = [f'<nav><a href="{home}">All lessons</a> · {_text(lesson.chapter.value)}</nav>']
    parts.append(f"<main><h1>{_prose(lesson.question)}</h1>")
    parts.append("<h2>Predict</h2>" + _prediction(lesson))
    if run_action:
        parts.append(
            f'<h2>Run</h2><form method="post" action="{run_action}"><button>Run it</button>'
            " <span class=dim>real servers, a few seconds</span></form>"
        )
    if complaint:
        parts.append(f'<p class="failed" id="{SEEN}" role="alert">{_text(complaint)}</p>')
    explanation = f'<p class="text notice">{_prose(lesson.notice)}</p>'
    explanation += f"<p class=text>{_prose(' '.join(lesson.explain.split()))}</p>"
    explanation += f'<p class="text dim">Read on: {_text(lesson.source)}</p>'
    if outcome is not None:
        anchor = "" if complaint else f' id="{SEEN}"'
        seen = f"<h2{anchor}>Look</h2>{_seen(outcome, traces)}<h2>Explain</h2>{explanation}"
        # Whoever pressed the button wants to see; whoever reads a recorded run shall think first.
        parts.append(
            seen if run_action else f"<details class=run><summary>Show what happened</summary>{seen}</details>"
        )
    parts.append(_exercise(lesson) + "</main>")
    if following is not None:
        slug, address = following
        parts.append(f'<p>Next: <a href="{address}">{_text(slug)}</a></p>')
    return _document(lesson.slug, "".join(parts))


def _prediction(lesson: Lesson) -> str:
    right = LETTERS.index(lesson.prediction.answer)
    rows = []
    for place, choice in enumerate(lesson.prediction.choices):
        verdict = "Right." if place == right else "No."
        rows.append(f"<details><summary>{LETTERS[place]}) {_prose(choice)}</summary><p>{verdict}</p></details>")
    return "".join(rows)


def _seen(outcome: Mapping[str, Any], traces: Sequence[str]) -> str:
    parts = []
    for exhibit, address in zip(outcome["exhibits"], traces, strict=True):
        title = _text(exhibit["title"])
        parts.append(f'<h3>{title}</h3><iframe src="{address}" title="Trace: {title}" loading="lazy"></iframe>')
        names = {span["spanId"]: f"{span['serviceName']} {span['operation']}" for span in exhibit["analysis"]["spans"]}
        marks = [f"<li>{_text(names.get(span, span))}: {_text(words)}</li>" for span, words in exhibit["marks"].items()]
        parts.append(f"<ul>{''.join(marks)}</ul>" if marks else "")
    parts.append("<h2>Facts</h2><ul class=facts>" + "".join(map(_fact, outcome["facts"])) + "</ul>")
    return "".join(parts)


def _fact(fact: Mapping[str, Any]) -> str:
    mark, kind = ("✔", "held") if fact["passed"] else ("✘", "failed")
    wanted = "" if fact["passed"] else f" (wanted: {_text(fact['wanted'])})"
    return (
        f'<li class="{kind}">{mark} {_text(fact["name"])}: <span class=seen>{_text(fact["seen"])}</span>{wanted}</li>'
    )


def _exercise(lesson: Lesson) -> str:
    command = f"./lab learn {lesson.slug}" + (" --try" if lesson.try_it.check else "")
    starter = f"<pre>{_text(lesson.try_it.starter)}</pre>" if lesson.try_it.starter else ""
    return (
        f"<h2>Try it</h2><p class=text>{_prose(lesson.try_it.task)}</p>{starter}"
        f"<details><summary>Hint</summary>{_prose(lesson.try_it.hint)}</details>"
        f"<details><summary>Solution</summary><pre>{_text(lesson.try_it.solution)}</pre></details>"
        f'<p class="dim">In a terminal: <code>{_text(command)}</code></p>'
    )


def _document(title: str, body: str) -> str:
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode("ascii")
    sources = ("default-src 'none'", "img-src data:", f"style-src 'sha256-{digest}'", "frame-src 'self' file:")
    policy = "; ".join((*sources, "form-action 'self'", "base-uri 'none'"))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{_text(title)} · gRPC Trace Lab</title><style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def _text(text: object) -> str:
    return html.escape(str(text))


def _prose(text: str) -> str:
    """Escaped words, with what stands between backticks as code."""
    return _CODE.sub(r"<code>\1</code>", _text(text))
