"""The table of `lab bench engines`: which engine stands where, and what each figure is over."""

from __future__ import annotations

from benchmarks._engine_load import QUESTIONS
from benchmarks.engines import Round, report

SECOND_NS = 1_000_000_000


def rounds(engine: str, count: int, cpu_s: int) -> list[Round]:
    """Rounds in which everything takes `cpu_s` times as long as in the engine that takes one."""
    p95_us = dict.fromkeys(QUESTIONS, 1000 * cpu_s)
    return [Round(engine, number, 100, cpu_s * SECOND_NS, 5000 * cpu_s, p95_us) for number in range(count)]


def lines(count: int) -> dict[str, str]:
    table = report([*rounds("Jaeger, badger", count, 4), *rounds("embedded", count, 1)])
    return {
        line.split(" | ")[0].removeprefix("| "): line.split(" | ", 1)[1]
        for line in table.splitlines()[::1]
        if " | " in line
    }


def test_the_embedded_backend_stands_first_and_the_others_are_over_it() -> None:
    found = lines(8)
    assert found["figure"] == "embedded | Jaeger, badger |"
    assert found["spans per second of processor time"] == "100 | 25 |"
    assert found["processor time a span, over embedded"] == "1 | 4.00 [4.00, 4.00] |"
    assert found["bytes on disk a span"] == "50 | 200 |"
    for question in QUESTIONS:
        assert found[f"{question}, p95 ms"] == "1.00 | 4.00 |"
        assert found[f"{question}, p95 over embedded"] == "1 | 4.00 [4.00, 4.00] |"


def test_too_few_rounds_have_no_interval() -> None:
    assert lines(2)["processor time a span, over embedded"] == "1 | 4.00 |"
