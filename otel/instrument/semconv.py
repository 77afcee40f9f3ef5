"""Every attribute, metric and event name that this project emits, in one place.

The RPC names are those of semantic conventions v1.44.0, whose RPC pages are a release candidate: on the conventions'
main branch `rpc.response.status_code` is already called `rpc.status_code`, so the name may move and is a constant here.
Names under `tracelab.` and `grpc.` are ours, where no convention has one (see docs/corrections.md).
"""

from __future__ import annotations

from typing import Final

from opentelemetry.semconv._incubating.attributes import (
    host_attributes,
    log_attributes,
    process_attributes,
    rpc_attributes,
    service_attributes,
)
from opentelemetry.semconv._incubating.metrics import rpc_metrics
from opentelemetry.semconv.attributes import (
    error_attributes,
    exception_attributes,
    network_attributes,
    server_attributes,
)
from opentelemetry.semconv.attributes import service_attributes as stable_service_attributes
from opentelemetry.semconv.schemas import Schemas

SCHEMA_URL: Final = Schemas.V1_44_0.value

RPC_SYSTEM_NAME: Final = rpc_attributes.RPC_SYSTEM_NAME
RPC_SYSTEM_GRPC: Final = "grpc"
RPC_METHOD: Final = rpc_attributes.RPC_METHOD
RPC_METHOD_OTHER: Final = "_OTHER"
RPC_METHOD_ORIGINAL: Final = rpc_attributes.RPC_METHOD_ORIGINAL
RPC_RESPONSE_STATUS_CODE: Final = rpc_attributes.RPC_RESPONSE_STATUS_CODE
ERROR_TYPE: Final = error_attributes.ERROR_TYPE
SERVER_ADDRESS: Final = server_attributes.SERVER_ADDRESS
SERVER_PORT: Final = server_attributes.SERVER_PORT
NETWORK_PEER_ADDRESS: Final = network_attributes.NETWORK_PEER_ADDRESS
NETWORK_PEER_PORT: Final = network_attributes.NETWORK_PEER_PORT

SERVICE_NAME: Final = stable_service_attributes.SERVICE_NAME
SERVICE_INSTANCE_ID: Final = service_attributes.SERVICE_INSTANCE_ID
PROCESS_PID: Final = process_attributes.PROCESS_PID
HOST_NAME: Final = host_attributes.HOST_NAME

LOG_RECORD_UID: Final = log_attributes.LOG_RECORD_UID
EXCEPTION_TYPE: Final = exception_attributes.EXCEPTION_TYPE
EXCEPTION_MESSAGE: Final = exception_attributes.EXCEPTION_MESSAGE
EXCEPTION_STACKTRACE: Final = exception_attributes.EXCEPTION_STACKTRACE

CLIENT_CALL_DURATION: Final = rpc_metrics.RPC_CLIENT_CALL_DURATION
SERVER_CALL_DURATION: Final = rpc_metrics.RPC_SERVER_CALL_DURATION
CALL_DURATION_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

# What gRPC's own metrics of compressed bytes are held against; the conventions have dropped theirs.
CLIENT_SENT_MESSAGE_SIZE: Final = "tracelab.rpc.client.sent_message_size"
SERVER_SENT_MESSAGE_SIZE: Final = "tracelab.rpc.server.sent_message_size"

CLIENT_CALL_EXCEPTION: Final = "rpc.client.call.exception"
SERVER_CALL_EXCEPTION: Final = "rpc.server.call.exception"

PREVIOUS_RPC_ATTEMPTS: Final = "grpc.previous_rpc_attempts"
TIMEOUT_S: Final = "tracelab.rpc.timeout_s"
TIME_REMAINING_S: Final = "tracelab.rpc.time_remaining_s"
SENT_MESSAGE_COUNT: Final = "tracelab.rpc.sent_message_count"
RECEIVED_MESSAGE_COUNT: Final = "tracelab.rpc.received_message_count"
HANDLER_REACHED: Final = "tracelab.rpc.handler_reached"
CUT_SHORT: Final = "tracelab.rpc.cut_short"
HANDLER_WAIT_S: Final = "tracelab.rpc.handler_wait_s"
METADATA_SIZE_BYTES: Final = "tracelab.rpc.metadata_size_bytes"
DROPPED_BAGGAGE_MEMBERS: Final = "tracelab.baggage.dropped_member_count"

# gRFC A72's events; its wire size has no attribute here: only gRPC's core sees the compressed bytes of a message.
INBOUND_MESSAGE: Final = "Inbound message"
OUTBOUND_MESSAGE: Final = "Outbound message"
MESSAGE_SEQUENCE_NUMBER: Final = "sequence-number"
MESSAGE_SIZE: Final = "message-size"

# On the span event that stands for a log record: what OTel's event has no field for.
LOG_SEVERITY_TEXT: Final = "log.severity_text"
LOG_SEVERITY_NUMBER: Final = "log.severity_number"
