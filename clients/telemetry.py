"""The telemetry of a command that makes calls: exports where the stack listens, and is silent where nobody does."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from pathlib import Path

from otel.instrument import Telemetry, TelemetrySettings, configure
from otel.tls.files import TlsFiles, let_exporters_dial


def client_telemetry(
    service_name: str, environ: MutableMapping[str, str], home: Path, otlp_endpoint: str, *, is_certain: bool = False
) -> Telemetry:
    """Configure this process as a client; called by a `main()` only, once.

    Exports to `otlp_endpoint` unless the environment names another (`is_certain`: even then), and logs to a file in
    `home`. Raises SettingsError.
    """
    if is_certain:
        environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = otlp_endpoint
    environ.setdefault("OTEL_EXPORTER_OTLP_ENDPOINT", otlp_endpoint)
    let_exporters_dial(environ, TlsFiles.from_environ(environ))
    environ.setdefault("GRPC_VERBOSITY", "NONE")
    # An export that is given up after our logging has closed would be printed by logging's last resort.
    logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
    log_file = home / "logs" / f"{service_name}.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    return configure(
        TelemetrySettings.from_environ(service_name, environ, log_file=log_file, log_to_stdout=False, quiet_export=True)
    )
