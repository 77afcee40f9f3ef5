// Sends one known trace and its logs by each of OTLP's three ways, with OpenTelemetry's own exporters.
//
// Environment: OTLP_GRPC_URL and OTLP_HTTP_URL (without a path), START_UNIX_MS, and TRACE_IDS, a JSON object of a hex
// trace id for each way: grpc, protobuf, json. Ends with 0 when every exporter was told that all of it is stored, else
// with 1 and the reason on standard error.

import { ROOT_CONTEXT, SpanKind, SpanStatusCode, createTraceState, trace } from "@opentelemetry/api";
import { SeverityNumber } from "@opentelemetry/api-logs";
import { OTLPLogExporter as GrpcLogs } from "@opentelemetry/exporter-logs-otlp-grpc";
import { OTLPLogExporter as JsonLogs } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPLogExporter as ProtobufLogs } from "@opentelemetry/exporter-logs-otlp-proto";
import { OTLPTraceExporter as GrpcTraces } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as JsonTraces } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufTraces } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";

const { OTLP_GRPC_URL: grpcUrl, OTLP_HTTP_URL: httpUrl, START_UNIX_MS, TRACE_IDS } = process.env;
const startSeconds = Math.floor(Number(START_UNIX_MS) / 1000);
const traceIds = JSON.parse(TRACE_IDS);
const REMOTE = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", traceFlags: 1, isRemote: true };
const failures = [];

// Times to the nanosecond, which a JavaScript number could not hold.
const at = (nanos) => [startSeconds, nanos];

const ways = {
  grpc: [new GrpcTraces({ url: grpcUrl }), new GrpcLogs({ url: grpcUrl })],
  protobuf: [
    new ProtobufTraces({ url: `${httpUrl}/v1/traces`, compression: "gzip" }),
    new ProtobufLogs({ url: `${httpUrl}/v1/logs`, compression: "gzip" }),
  ],
  json: [new JsonTraces({ url: `${httpUrl}/v1/traces` }), new JsonLogs({ url: `${httpUrl}/v1/logs` })],
};

function checked(way, exporter) {
  return {
    export(items, done) {
      exporter.export(items, (result) => {
        if (result.code !== 0) failures.push(`${way}: ${result.error?.stack ?? "no reason given"}`);
        done(result);
      });
    },
    forceFlush: async () => exporter.forceFlush?.(),
    shutdown: () => exporter.shutdown(),
  };
}

function idsOf(traceId) {
  let last = 0;
  return {
    generateTraceId: () => traceId,
    generateSpanId: () => (++last).toString(16).padStart(16, "0"),
  };
}

async function send(way, [traceExporter, logExporter]) {
  const resource = resourceFromAttributes(
    { "service.name": `node ${way}`, "host.cpus": 2, "service.tags": ["a", "b"] },
    { schemaUrl: "https://opentelemetry.io/schemas/1.38.0" },
  );
  const tracers = new BasicTracerProvider({
    resource,
    idGenerator: idsOf(traceIds[way]),
    spanLimits: { attributeCountLimit: 16, eventCountLimit: 2, linkCountLimit: 1 },
    spanProcessors: [new SimpleSpanProcessor(checked(`${way} traces`, traceExporter))],
  });
  const tracer = tracers.getTracer("node sender", "1.2.3", { schemaUrl: "https://example.org/scope" });
  const context = sendSpans(tracer, way === "json" ? 1e18 : 1e21);
  await tracers.forceFlush();
  await tracers.shutdown();

  const loggers = new LoggerProvider({
    resource,
    logRecordLimits: { attributeCountLimit: 4 },
    processors: [new SimpleLogRecordProcessor(checked(`${way} logs`, logExporter))],
  });
  sendLogs(loggers.getLogger("node logger", "4.5.6"), context);
  await loggers.forceFlush();
  await loggers.shutdown();
}

// `large`: past 64 bits where the way can say so; in JSON it would be an integer, which a Collector refuses.
function sendSpans(tracer, large) {
  const caller = trace.setSpanContext(ROOT_CONTEXT, { ...REMOTE, traceState: createTraceState("vendor=abc") });
  const root = tracer.startSpan(
    "POST /orders",
    {
      kind: SpanKind.SERVER,
      root: true,
      startTime: at(1),
      links: [
        { context: trace.getSpanContext(caller), attributes: { dropped: true } },
        { context: trace.getSpanContext(caller), attributes: { why: "retried", tries: 2 } },
      ],
      attributes: {
        text: "grüße, 世界 \u{1F680}",
        empty: "",
        zero: 0,
        negative: -7,
        "largest.safe": Number.MAX_SAFE_INTEGER,
        large,
        ratio: 0.1,
        "not.a.number": NaN,
        yes: true,
        no: false,
        texts: ["x", "y"],
        numbers: [1, 2],
        ratios: [0.5, 1.5],
        flags: [true, false],
        none: [],
        sixteenth: "kept",
        seventeenth: "dropped",
      },
    },
    ROOT_CONTEXT,
  );
  root.addEvent("dropped", {}, at(2));
  root.addEvent("received", { bytes: 512 }, at(123_456_789));
  root.addEvent("bare", {}, at(200_000_000));
  const inside = trace.setSpan(ROOT_CONTEXT, root);
  const child = tracer.startSpan("orders.Orders/Create", { kind: SpanKind.CLIENT, startTime: at(10_000_000) }, inside);
  child.setStatus({ code: SpanStatusCode.ERROR, message: "no such user" });
  child.end(at(20_000_001));
  root.setStatus({ code: SpanStatusCode.OK });
  root.end(at(999_999_999));
  tracer.startSpan("remote child", { kind: SpanKind.INTERNAL, startTime: at(5) }, withTraceOf(root)).end(at(6));
  return inside;
}

// A parent in another process of the same trace, with a trace state that the child inherits.
function withTraceOf(span) {
  const { traceId } = span.spanContext();
  return trace.setSpanContext(ROOT_CONTEXT, { ...REMOTE, traceId, traceState: createTraceState("vendor=abc,other=1") });
}

function sendLogs(logger, context) {
  logger.emit({
    timestamp: at(11_000_000),
    observedTimestamp: at(11_000_001),
    severityNumber: SeverityNumber.WARN,
    severityText: "WARN",
    body: "user is missing",
    attributes: { "user.id": "u-1", nested: { deep: [1, { er: true }] }, raw: new Uint8Array([0, 255]), n: 4, dropped: 5 },
    context,
  });
  logger.emit({
    timestamp: at(12_000_000),
    observedTimestamp: at(12_000_001),
    severityNumber: SeverityNumber.INFO,
    eventName: "order.refused",
    body: { code: 5, reasons: ["user", "stock"], share: 0.25 },
    context,
  });
}

for (const [way, exporters] of Object.entries(ways)) {
  await send(way, exporters);
}
if (failures.length > 0) {
  console.error(failures.join("\n"));
  process.exitCode = 1;
}
