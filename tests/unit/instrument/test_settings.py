"""The LAB_* variables of a process."""

from __future__ import annotations

import pytest

from otel.instrument import SettingsError, TelemetrySettings


def test_an_empty_environment_means_the_defaults() -> None:
    settings = TelemetrySettings.from_environ("user", {"LAB_INSTRUMENTATION": "", "LAB_MESSAGE_EVENTS": ""})

    assert settings == TelemetrySettings(service_name="user", cache_loggers=True)


def test_every_variable_is_read() -> None:
    environ = {"LAB_INSTRUMENTATION": "Stock", "LAB_LOGS_AS_SPAN_EVENTS": "TRUE", "LAB_MESSAGE_EVENTS": "16"}

    settings = TelemetrySettings.from_environ(
        "user", {**environ, "LAB_GRPC_METRICS": "true", "LAB_RUNTIME_METRICS": "true"}
    )

    assert (settings.instrumentation, settings.logs_as_span_events, settings.message_events) == ("stock", True, 16)
    assert (settings.grpc_metrics, settings.runtime_metrics) == (True, True)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("LAB_INSTRUMENTATION", "both", "LAB_INSTRUMENTATION: 'both' is not one of corrected, stock, off"),
        ("LAB_LOGS_AS_SPAN_EVENTS", "yes", "LAB_LOGS_AS_SPAN_EVENTS: 'yes' is neither true nor false"),
        ("LAB_GRPC_METRICS", "1", "LAB_GRPC_METRICS: '1' is neither true nor false"),
        ("LAB_MESSAGE_EVENTS", "-1", "LAB_MESSAGE_EVENTS: '-1' is not a whole number from 0 on"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(name: str, value: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=f"^{sentence}$"):
        TelemetrySettings.from_environ("user", {name: value})
