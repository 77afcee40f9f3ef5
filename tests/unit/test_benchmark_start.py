"""The figures of `lab bench start`: how runs are summed up and laid out. What it runs is measured, not tested."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

from benchmarks.start import Spread, as_text, path_with


def test_several_runs_give_their_extremes_and_their_median_and_keep_their_order() -> None:
    assert Spread.of([3.0, 1.0, 2.5001]) == Spread(1.0, 2.5, 3.0, (3.0, 1.0, 2.5))


def test_uv_is_hidden_where_pip_shall_install(tmp_path: Path) -> None:
    with_uv, without = tmp_path / "a", tmp_path / "b"
    for folder in (with_uv, without):
        folder.mkdir()
    (with_uv / "uv").touch()
    path = os.pathsep.join([str(with_uv), str(without)])
    assert (path_with("pip", path), path_with("uv", path)) == (str(without), path)


def test_figures_are_laid_out_with_their_spread_their_number_of_runs_and_what_was_skipped() -> None:
    result = {
        "to_trace": {"warm": asdict(Spread.of([2.0, 1.5, 1.75]))},
        "skipped": {"cold, uv": "uv is not on PATH"},
        "peak_rss_mb": {"backend": 54.3, "user": 58.8},
        "pss_mb": {"backend": 22.5, "user": 23.0, "fork_server": 21.0},
        "pss_total_mb": 66.5,
    }
    assert as_text(result).splitlines() == [
        "seconds to the trace       min  median     max  runs",
        "warm                      1.50    1.75    2.00     3",
        "cold, uv              skipped: uv is not on PATH",
        "",
        "memory, MB              peak RSS     PSS",
        "backend                     54.3    22.5",
        "user                        58.8    23.0",
        "fork_server                         21.0",
        "together                            66.5",
    ]
