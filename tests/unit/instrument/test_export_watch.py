"""Counting what reached a backend, and one report per change."""

from __future__ import annotations

import logging

from otel.instrument.export_watch import ExportWatch, Loss


def test_a_change_is_reported_once_with_the_exporters_reason() -> None:
    changes: list[tuple[str, dict[str, str]]] = []
    watch = ExportWatch(lambda event, facts: changes.append((event, facts)))
    record = logging.makeLogRecord(
        {"name": "opentelemetry.exporter.otlp", "levelno": logging.ERROR, "msg": "no answer from %s", "args": ("x:1",)}
    )
    assert watch.takes(record)

    for delivered in (False, False, True, True):
        watch.exported("spans", 1, delivered=delivered)

    assert changes == [
        ("export.failed", {"signal": "spans", "reason": "no answer from x:1"}),
        ("export.recovered", {"signal": "spans"}),
    ]


def test_it_has_recovered_when_every_signal_has() -> None:
    events: list[str] = []
    watch = ExportWatch(lambda event, _facts: events.append(event))

    watch.exported("spans", 1, delivered=False)
    watch.exported("logs", 1, delivered=False)
    watch.exported("spans", 1, delivered=True)
    assert events == ["export.failed"]
    watch.exported("logs", 1, delivered=True)

    assert events == ["export.failed", "export.recovered"]


def test_the_loss_is_what_was_made_and_not_delivered() -> None:
    watch = ExportWatch()
    for _ in range(5):
        watch.made("spans")
    watch.exported("spans", 3, delivered=True)
    watch.exported("spans", 1, delivered=False)

    assert (watch.loss("spans"), watch.loss("spans"), watch.loss("logs")) == (Loss(5, 2), Loss(5, 2), Loss(0, 0))


def test_other_loggers_are_none_of_its_business() -> None:
    assert not ExportWatch().takes(logging.makeLogRecord({"name": "grpc", "levelno": logging.ERROR, "msg": "x"}))
