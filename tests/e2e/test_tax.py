"""`lab bench tax` with tiny loads: every variant's processes start, answer, export and end."""

from __future__ import annotations

import dataclasses
import sys

import pytest

from benchmarks.tax import GRPC_METRICS_VARIANTS, LOADS, VARIANTS, Api, measure


@pytest.mark.parametrize("api", ["aio", "sync"])
def test_every_variant_is_measured_once_per_block_and_load(api: Api) -> None:
    loads = [dataclasses.replace(load, calls=load.concurrency) for load in LOADS]
    variants = [variant for variant in VARIANTS if variant.name in {"bare", "stock + logs", "corrected, everything on"}]

    runs = measure(variants, loads, blocks=2, seed=1, api=api)

    expected = {(v.name, load.name, block) for v in variants for load in loads for block in range(2)}
    assert len(runs) == len(expected)
    assert {(run.variant, run.load, run.block) for run in runs} == expected
    assert all(len(run.latencies_ns) == run.calls for run in runs)
    assert all(run.wall_ns > 0 and run.cpu_ns > 0 for run in runs)


@pytest.mark.skipif(sys.platform != "linux", reason="grpcio-observability is made for Linux alone")
def test_the_variant_with_what_grpcs_core_counts_is_measured_too() -> None:
    load = dataclasses.replace(LOADS[0], calls=1)

    (run,) = measure(GRPC_METRICS_VARIANTS[-1:], [load], blocks=1, seed=1)

    assert run.variant == "everything and gRPC metrics"
    assert run.cpu_ns > 0
