"""Logs in OpenSearch itself: what its adapter promises of every log store, asked of a real index of three shards."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest

from otel.analysis.otlp_json_writing import log_records_to_otlp_json
from otel.query import TraceQuery
from tests.contract.log_reading import LogReading, Written, batches, records_for
from tests.scale.cluster import Cluster

pytestmark = pytest.mark.timeout(600)


class TestOpenSearchItself(LogReading):
    @pytest.fixture(scope="class")
    @classmethod
    def written(cls, cluster: Cluster) -> Iterator[Written]:
        records = records_for()
        url = cluster.log_url(1).removeprefix("opensearch+")
        for batch in batches(records):
            _post(f"{url}/_doc", json.dumps(log_records_to_otlp_json(batch)).encode())
        _post(f"{url}/_refresh", b"")  # in all copies
        with TraceQuery(cluster.query_url(2), cluster.log_url(2)) as query:
            yield Written(query, records)


def _post(url: str, body: bytes) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": "application/json"}), timeout=30):
        pass
