"""Read traces and logs back: TraceQuery, what it is asked and what it answers."""

from otel.query.client import TraceQuery as TraceQuery
from otel.query.errors import BackendUnreachableError as BackendUnreachableError
from otel.query.errors import MalformedTokenError as MalformedTokenError
from otel.query.errors import MalformedTraceIdError as MalformedTraceIdError
from otel.query.errors import NoLogStoreError as NoLogStoreError
from otel.query.errors import NoMetricStoreError as NoMetricStoreError
from otel.query.errors import QueryError as QueryError
from otel.query.errors import QueryRefusedError as QueryRefusedError
from otel.query.errors import TraceNotCompleteError as TraceNotCompleteError
from otel.query.errors import UnknownMetricError as UnknownMetricError
from otel.query.errors import UnreadableAnswerError as UnreadableAnswerError
from otel.query.metrics import MetricAnswer as MetricAnswer
from otel.query.metrics import MetricDescription as MetricDescription
from otel.query.metrics import MetricExemplar as MetricExemplar
from otel.query.metrics import MetricLine as MetricLine
from otel.query.metrics import MetricQuery as MetricQuery
from otel.query.metrics import MetricSearch as MetricSearch
from otel.query.values import BackendStatus as BackendStatus
from otel.query.values import LogPage as LogPage
from otel.query.values import LogSearch as LogSearch
from otel.query.values import Operation as Operation
from otel.query.values import ServiceCount as ServiceCount
from otel.query.values import TraceSearch as TraceSearch
from otel.query.values import TraceSummary as TraceSummary
