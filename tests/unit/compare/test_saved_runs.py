from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.compare.made_run import made_run
from tracelab.compare.measurement.restarts import joined
from tracelab.compare.question.errors import SavedRunError, UsageError
from tracelab.compare.results.json_form import run_from_json, run_to_json
from tracelab.compare.results.run_to_run import compare_runs
from tracelab.compare.results.saved_runs import SavedRuns, read_run, write_whole
from tracelab.compare.results.sweep import Sweep, fitted
from tracelab.compare.statistics.quantiles import MEDIAN
from tracelab.compare.statistics.verdict import VerdictKind


def test_every_figure_is_computed_again_from_the_raw_samples(tmp_path: Path) -> None:
    run = made_run()
    path = SavedRuns(tmp_path).save("one", run)
    assert read_run(path) == run
    assert run_to_json(read_run(path)) == json.loads(path.read_text(encoding="utf-8"))


def test_a_file_without_its_figures_gives_the_same_ones() -> None:
    document = run_to_json(made_run())
    raw = {**document, "comparisons": [], "decomposition": [], "twin": None}
    assert run_to_json(run_from_json(raw, "x")) == document


def test_a_newer_schema_is_refused_by_name() -> None:
    with pytest.raises(
        SavedRunError, match=r"x was saved by a newer lab: schema tracelab.compare/2, this one reads up to 1"
    ):
        run_from_json({**run_to_json(made_run()), "schema": "tracelab.compare/2"}, "x")


@pytest.mark.parametrize("document", [[], {}, {"schema": "other/1"}, {"schema": "tracelab.compare/x"}])
def test_what_is_no_comparison_is_refused(document: object) -> None:
    with pytest.raises(SavedRunError, match="is not a saved comparison"):
        run_from_json(document, "x")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    document = run_to_json(made_run())
    del document["samples"]
    with pytest.raises(SavedRunError, match="x is damaged"):
        run_from_json(document, "x")
    (tmp_path / "half.json").write_text('{"schema": "tracelab', encoding="utf-8")
    with pytest.raises(SavedRunError, match="it is no JSON"):
        read_run(tmp_path / "half.json")


def test_a_name_that_is_not_saved_is_told_with_the_nearest(tmp_path: Path) -> None:
    runs = SavedRuns(tmp_path)
    runs.save("before", made_run())
    assert list(runs.names()) == ["before"]
    with pytest.raises(SavedRunError) as caught:
        runs.load("befor")
    assert caught.value.hint == "did you mean before?"


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden"])
def test_a_name_that_is_no_plain_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a saved run"):
        SavedRuns(tmp_path).path_of(name)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800")
    assert path.read_text(encoding="utf-8") == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["f.json"]


def test_runs_on_a_slower_machine_are_compared_by_their_control() -> None:
    results = compare_runs([made_run(2, scale=1.6)], [made_run(1)])
    assert {one.variant: one.verdict.kind for one in results} == {
        "sequential": VerdictKind.NO_DIFFERENCE,
        "batch": VerdictKind.NO_DIFFERENCE,
    }
    assert results[0].now_ns > 1.4 * results[0].then_ns


def test_a_real_difference_between_runs_is_found_through_the_control() -> None:
    results = {one.variant: one for one in compare_runs([made_run(2, scale=1.6, batch_scale=1.5)], [made_run(1)])}
    assert results["batch"].verdict.kind is VerdictKind.SLOWER
    assert results["sequential"].verdict.kind is VerdictKind.NO_DIFFERENCE


def test_several_runs_a_side_are_what_is_repeated() -> None:
    noise = random.Random(3)
    now, then = ([made_run(seed, noise.uniform(0.9, 1.2)) for seed in seeds] for seeds in ((1, 2, 3), (4, 5, 6)))
    assert all(one.verdict.kind is VerdictKind.NO_DIFFERENCE for one in compare_runs(now, then))


def test_another_machine_is_not_comparable_and_says_why() -> None:
    run = made_run()
    other = replace(run, environment=replace(run.environment, cpu_model="Another", grpcio="2.0"))
    verdicts = [one.verdict.text for one in compare_runs([run], [other])]
    assert verdicts == ["not comparable: CPU Another then, A CPU now; grpcio 2.0 then, 1.85.1 now"] * 2


def test_other_options_are_not_comparable() -> None:
    run = made_run()
    options = {**run.options, "batch": {**run.options["batch"], "users": "100"}}
    texts = {one.variant: one.verdict.text for one in compare_runs([run], [replace(run, options=options)])}
    assert texts["batch"] == "not comparable: batch was measured with other options"


def test_restarts_are_the_unit_of_the_interval() -> None:
    parts = [made_run(seed, scale=1 + seed / 10).measurement for seed in range(5)]
    run = replace(made_run(), measurement=joined(parts))
    assert run.measurement.restart_blocks == (20,) * 5
    interval = run.analyse().headlines[0].interval
    assert interval is not None
    logs_differ = run.analyse().headlines[0].interval
    assert interval == logs_differ
    assert interval.low < 0.3 < interval.high


def test_a_slope_is_fitted_by_relative_errors() -> None:
    base, slope = fitted([1, 10, 100], [3.0, 12.0, 102.0])
    assert (base, slope) == pytest.approx((2.0, 1.0))


def test_a_sweep_tells_what_one_more_user_costs() -> None:
    sweep = Sweep((1, 2, 4), (made_run(1, 1), made_run(2, 2), made_run(3, 4)))
    slopes = {slope.variant: slope for slope in sweep.slopes()}
    assert slopes["sequential"].per_step_ns == pytest.approx(40_000_000, rel=0.1)
    low, high = slopes["sequential"].low_ns, slopes["sequential"].high_ns
    assert low is not None
    assert high is not None
    assert low < slopes["sequential"].per_step_ns < high
    assert slopes["sequential"].per_step_ns > slopes["batch"].per_step_ns


def test_the_median_of_a_saved_run_has_its_trace() -> None:
    run = made_run()
    sample = run.analyse().summary_of("batch").value_of(MEDIAN).sample
    assert sample is not None
    assert sample.trace_id in run.traces
