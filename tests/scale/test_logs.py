"""Logs in OpenSearch itself: what its adapter promises of every log store, asked of a real index of three shards."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest

from otel.analysis.otlp_json_writing import log_records_to_otlp_json
from otel.query import TraceQuery
from tests.contract.log_reading import LogReading, Written, batches, records_for
from tests.polling import eventually
from tests.scale.cluster import Cluster

pytestmark = pytest.mark.timeout(600)


class TestOpenSearchItself(LogReading):
    @pytest.fixture(scope="class")
    @classmethod
    def written(cls, cluster: Cluster) -> Iterator[Written]:
        records = records_for()
        url = cluster.log_url(1).removeprefix("opensearch+")
        for batch in batches(records):
            body = json.dumps(log_records_to_otlp_json(batch)).encode()
            with urllib.request.urlopen(
                urllib.request.Request(f"{url}/_doc", body, {"content-type": "application/json"})
            ):
                pass
        with TraceQuery(cluster.query_url(2), cluster.log_url(2)) as query:
            made = Written(query, records)
            eventually(made.events, until=lambda found: len(found) == len(records) - 1, within_s=30)
            yield made
