"""As much of OpenSearch as the adapter of logs asks for, answering as version 2.19.6 was seen to answer.

Values are found by dotted names, as OpenSearch flattens documents; a clause that it does not know is refused, so that a
new question of the adapter shows here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import httpx

INDEX = "otlp-logs"


class FakeOpenSearch:
    """One index; give `handle` to httpx.MockTransport. `asked` has the bodies of all searches."""

    def __init__(self) -> None:
        self._documents: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        _, index, action = request.url.path.split("/")
        if index != INDEX:
            reason = f"no such index [{index}]"
            return _refusal(404, "index_not_found_exception", reason)
        body = json.loads(request.content)
        if action == "_doc":
            self._documents.append(body)
            shards = {"total": 2, "successful": 2, "failed": 0}
            said = {
                "_index": f"{INDEX}-000001",
                "_id": f"id-{len(self._documents)}",
                "_version": 1,
                "result": "created",
            }
            return httpx.Response(201, json={**said, "_shards": shards, "_seq_no": len(self._documents) - 1})
        self.asked.append(body)
        try:
            return httpx.Response(200, json=self._found(body))
        except KeyError as error:
            return _refusal(400, "parsing_exception", f"unknown query [{error.args[0]}]")

    def _found(self, body: dict[str, Any]) -> dict[str, Any]:
        (by_time, mode), *_ = [(name, order["mode"]) for name, order in body["sort"][0].items()]
        assert mode == "min"
        hits: list[dict[str, Any]] = []
        for number, document in enumerate(self._documents):
            if all(_holds(clause, document) for clause in body["query"]["bool"]["filter"]):
                times = [int(value) for value in _values(document, by_time)]
                sort = [min(times, default=2**63 - 1), number]
                hits.append(
                    {
                        "_index": f"{INDEX}-000001",
                        "_id": f"id-{number}",
                        "_score": None,
                        "_source": document,
                        "sort": sort,
                    }
                )
        hits.sort(key=lambda hit: hit["sort"])
        later = [hit for hit in hits if "search_after" not in body or hit["sort"] > body["search_after"]]
        total = {"value": len(hits), "relation": "eq"}
        shards = {"total": 3, "successful": 3, "skipped": 0, "failed": 0}
        found = {"total": total, "max_score": None, "hits": later[: body["size"]]}
        return {"took": 1, "timed_out": False, "_shards": shards, "hits": found}


def _holds(clause: dict[str, Any], document: dict[str, Any]) -> bool:
    ((kind, wanted),) = clause.items()
    if kind == "bool":
        assert wanted["minimum_should_match"] == 1
        return any(_holds(each, document) for each in wanted["should"])
    ((name, value),) = wanted.items()
    tests: dict[str, Callable[[Any], bool]] = {
        "term": lambda it: str(it) == str(value),
        "range": lambda it: value.get("gte", int(it)) <= int(it) <= value.get("lte", int(it)),
        "wildcard": lambda it: fnmatchcase(str(it).lower(), value["value"].lower()),
    }
    return any(tests[kind](it) for it in _values(document, name))


def _values(value: Any, name: str) -> Iterator[Any]:
    """All values below a dotted name, through lists."""
    if isinstance(value, list):
        for each in value:
            yield from _values(each, name)
    elif not name:
        yield json.dumps(value) if isinstance(value, bool) else value
    elif isinstance(value, dict):
        first, _, rest = name.partition(".")
        if first in value:
            yield from _values(value[first], rest)


def _refusal(status: int, kind: str, reason: str) -> httpx.Response:
    error = {"root_cause": [{"type": kind, "reason": reason}], "type": kind, "reason": reason}
    return httpx.Response(status, json={"error": error, "status": status})
