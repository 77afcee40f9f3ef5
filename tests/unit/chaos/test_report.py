"""What an experiment comes to: held or not, on the screen, as JSON, and on the page that a run wrote."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from tracelab.chaos.all_experiments import EXPERIMENTS
from tracelab.chaos.bench import Bench
from tracelab.chaos.experiment import Count, Experiment, Result, at_least, at_most, equal
from tracelab.chaos.report import described, document, print_results, results_json, with_long_soak

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reliability.md"


async def nothing(_bench: Bench) -> tuple[Count, ...]:
    return ()


EXPERIMENT = Experiment("drop", "Nothing is lost.", "a hard knock", "without care all was lost", nothing)
COUNTS = (Count("sent", 1_200), equal("lost", 0, 0), at_most("p99, ms", 3.5, 2.0, is_timed=True))


@pytest.mark.parametrize(
    ("counts", "error", "held"),
    [
        ((Count("sent", 3),), "", True),
        ((equal("lost", 0, 0), at_least("answered", 3, 3), at_most("seconds", 1.0, 1.0)), "", True),
        ((equal("lost", 1, 0),), "", False),
        ((at_least("answered", 2, 3),), "", False),
        ((at_most("seconds", 1.5, 1.0),), "", False),
        ((), "waited 30 s for user to serve", False),
    ],
    ids=["nothing promised", "as promised", "not equal", "too few", "too many", "not carried out"],
)
def test_a_promise_is_held_where_all_of_it_is_and_the_harm_was_done(
    counts: tuple[Count, ...], error: str, held: bool
) -> None:
    assert Result(EXPERIMENT, counts, 1.0, error).held is held


def test_the_screen_tells_promise_harm_counts_and_verdict() -> None:
    out = io.StringIO()
    print_results(Console(file=out, width=100), [Result(EXPERIMENT, COUNTS, 12.3)])
    assert [line.rstrip() for line in out.getvalue().splitlines()] == [
        "✘ drop  12 s",
        "  promise  Nothing is lost.",
        "  harm     a hard knock",
        "    1,200  sent",
        "  ✔     0  lost",
        "  ✘   3.5  p99, ms",
        "0 of 1 promises held, in 12 s",
    ]


def test_the_json_has_every_count_and_what_is_promised_of_it() -> None:
    told = json.loads(results_json([Result(EXPERIMENT, COUNTS, 12.34)], is_short=True))
    assert told == {
        "form": "short",
        "experiments": [
            {
                "experiment": "drop",
                "promise": "Nothing is lost.",
                "harm": "a hard knock",
                "held": False,
                "error": "",
                "durationS": 12.3,
                "counts": [
                    {"name": "sent", "value": 1200, "held": None, "timed": False},
                    {"name": "lost", "value": 0, "held": True, "timed": False},
                    {"name": "p99, ms", "value": 3.5, "held": False, "timed": True},
                ],
            }
        ],
    }


def test_the_page_of_a_run_says_what_did_not_hold() -> None:
    page = document([Result(EXPERIMENT, (), 1.0, "waited 30 s for user to serve")])
    assert described(EXPERIMENT) in page
    assert "This run: **not held**: waited 30 s for user to serve, in 1 s." in page


def test_a_long_soak_takes_the_place_of_the_one_before_and_stays_when_the_page_is_made_anew() -> None:
    def soaked(count: int) -> Result:
        return Result(EXPERIMENT, (Count("calls sent", count),), 1_800.0)

    short = Result(EXPERIMENT, COUNTS, 12.3)
    page = document([short])
    once, twice = with_long_soak(page, soaked(1)), with_long_soak(with_long_soak(page, soaked(1)), soaked(2))
    assert [text.count("## The long soak") for text in (page, once, twice)] == [0, 1, 1]
    assert ["| calls sent | 1 |" in text for text in (once, twice)] == [True, False]
    assert "| calls sent | 2 |" in twice
    assert document([short], twice) == twice
    assert document([short], page) == page


def test_the_page_has_each_promise_with_its_harm_and_how_it_was_broken_as_the_code_has_them() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^## ([a-z-]+)$", page, re.MULTILINE) == [experiment.slug for experiment in EXPERIMENTS]
    assert [experiment.slug for experiment in EXPERIMENTS if described(experiment) not in page] == []
