"""The figures of `lab bench tax`: ratios of totals, their intervals, and which rows there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.tax import (
    GRPC_METRICS_VARIANTS,
    LOADS,
    VARIANTS,
    Row,
    Run,
    print_rows,
    ratio_of_sums,
    report_json,
    rows,
    with_before,
)

MS = 1_000_000


def run(variant: str, block: int, cpu_ms: int, load: str = "unary, 1 at once") -> Run:
    latencies_ns = tuple(cpu_ms * MS + step for step in range(100))
    return Run(variant, load, block, 100, wall_ns=2 * cpu_ms * MS, cpu_ns=cpu_ms * MS, latencies_ns=latencies_ns)


def runs() -> list[Run]:
    """Ten blocks in which `stock` costs half as much again as bare, whatever the block's own mood."""
    cpu_ms = [10, 12, 10, 30, 10, 14, 10, 10, 20, 16]
    bare = [run("bare", block, ms) for block, ms in enumerate(cpu_ms)]
    return bare + [run("stock", block, ms * 3 // 2) for block, ms in enumerate(cpu_ms)]


def test_a_ratio_that_is_the_same_in_every_block_has_no_width() -> None:
    interval = ratio_of_sums([10, 20, 40, 10, 10, 10, 10, 10], [15, 30, 60, 15, 15, 15, 15, 15], "seed")

    assert (interval.low, interval.estimate, interval.high) == pytest.approx((1.5, 1.5, 1.5))


def test_a_ratio_is_one_of_totals_not_a_mean_of_ratios() -> None:
    interval = ratio_of_sums([10] * 7 + [90], [20] * 7 + [90], "seed")

    assert interval.estimate == pytest.approx(230 / 160)
    assert interval.low < interval.estimate < interval.high


def test_the_same_seed_draws_the_same_interval() -> None:
    bare, other = [10, 11, 12, 13, 14, 15, 16, 17], [20, 19, 25, 22, 28, 30, 26, 31]

    assert ratio_of_sums(bare, other, "1/cpu") == ratio_of_sums(bare, other, "1/cpu")
    assert ratio_of_sums(bare, other, "1/cpu") != ratio_of_sums(bare, other, "2/cpu")


def test_every_variant_but_bare_has_a_row_under_every_load() -> None:
    measured = [*runs(), *(run(r.variant, r.block, 5, "streaming, 8 at once") for r in runs())]

    table = rows(measured, seed=1)

    assert [(row.load, row.variant) for row in table] == [
        ("unary, 1 at once", "stock"),
        ("streaming, 8 at once", "stock"),
    ]
    assert [row.cpu.estimate for row in table] == pytest.approx([1.5, 1.0])
    assert [row.wall.estimate for row in table] == pytest.approx([1.5, 1.0])


def test_the_report_holds_every_run_so_that_each_figure_can_be_computed_again() -> None:
    measured = runs()
    table = rows(measured, seed=1)

    report = json.loads(report_json(measured, table, seed=1, blocks=10, api="sync"))
    assert report["api"] == "sync"

    again = [Run(**{**each, "latencies_ns": tuple(each["latencies_ns"])}) for each in report["runs"]]
    assert rows(again, report["seed"]) == table
    assert {"python", "cores", "grpcio", "opentelemetry-sdk"} <= set(report["environment"])


def test_the_table_shows_each_ratio_with_its_limits(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = rows(runs(), seed=1)

    print_rows([Row(row.load, row.variant, "bare", row.cpu, row.cpu, row.cpu)])

    assert capsys.readouterr().out.splitlines() == [
        "",
        f"{'unary, 1 at once, over bare':<44}{'wall':>20}{'CPU':>20}{'p99':>20}",
        f"  {'stock':<42}{'1.50 [1.50, 1.50]':>20}{'1.50 [1.50, 1.50]':>20}{'1.50 [1.50, 1.50]':>20}",
    ]


@pytest.mark.parametrize(
    ("cpu_ms", "verdict"), [([9] * 8, "cheaper"), ([11] * 8, "dearer"), ([9, 11] * 4, "undecided")]
)
def test_ours_is_set_against_stock_in_the_same_blocks(
    capsys: pytest.CaptureFixture[str], cpu_ms: list[int], verdict: str
) -> None:
    others = [run(variant, block, 10) for variant in ("bare", "stock") for block in range(8)]
    ours = [run("corrected", block, ms) for block, ms in enumerate(cpu_ms)]

    print_rows(rows([*others, *ours], seed=1))

    (line,) = (line for line in capsys.readouterr().out.splitlines() if "corrected / stock" in line)
    assert line.endswith(f"  {verdict}")


def test_the_price_of_grpcs_own_metrics_stands_beside_the_same_thing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    twice = {"everything on": 10, "everything on, again": 10, "everything and gRPC metrics": 12}
    measured = [run(variant, block, ms) for variant, ms in {"bare": 5, **twice}.items() for block in range(8)]

    print_rows(rows(measured, seed=1))

    lines = [line for line in capsys.readouterr().out.splitlines() if " / everything on " in line]
    assert [line.split()[-1] for line in lines] == ["undecided", "dearer"]
    assert {variant.name for variant in GRPC_METRICS_VARIANTS} == {"bare", *twice}


def test_the_benchmark_has_the_variants_and_loads_of_its_specification() -> None:
    assert [variant.name for variant in VARIANTS] == [
        "bare",
        "stock",
        "stock + logs",
        "stock, sampled out",
        "corrected",
        "corrected, everything on",
        "corrected, sampled out",
    ]
    assert {(load.kind, load.concurrency) for load in LOADS} == {
        ("unary", 1),
        ("unary", 8),
        ("streaming", 1),
        ("streaming", 8),
    }


def test_ours_is_set_against_the_same_of_the_build_before() -> None:
    variants = with_before(VARIANTS, Path("elsewhere"))

    added = variants[len(VARIANTS) :]
    assert [(variant.name, variant.checkout) for variant in added] == [
        ("corrected, before", Path("elsewhere")),
        ("corrected, everything on, before", Path("elsewhere")),
        ("corrected, sampled out, before", Path("elsewhere")),
    ]
    measured = [run(name, block, 10) for name in ("bare", "corrected", "corrected, before") for block in range(8)]
    assert ("corrected", "corrected, before") in [(row.variant, row.baseline) for row in rows(measured, seed=1)]
