#!/usr/bin/env bash
# Go's otelgrpc: one call that is retried twice has three CLIENT spans, and without a span around it they are the roots of
# three traces. A guess: one CLIENT span for the call, as the conventions say, whatever gRPC does beneath it.
# Source: semantic conventions for RPC, "client span" (the logical call with its retries); gRFC A72.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
export GOMODCACHE="$work/mod"
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

const policy = `{"methodConfig": [{"name": [{"service": "t.T"}], "retryPolicy": {"maxAttempts": 4, "initialBackoff": "0.02s",
  "maxBackoff": "0.1s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`

func main() {
	attempts := 0
	failTwice := func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		if err := decode(new(emptypb.Empty)); err != nil {
			return nil, err
		}
		if attempts++; attempts < 3 {
			return nil, status.Error(codes.Unavailable, "not yet")
		}
		return new(emptypb.Empty), nil
	}
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "t.T", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "FailTwice", Handler: failTwice}}}, nil)
	go server.Serve(listener)
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	connection, _ := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(policy), grpc.WithStatsHandler(otelgrpc.NewClientHandler(otelgrpc.WithTracerProvider(provider))))
	err := connection.Invoke(context.Background(), "/t.T/FailTwice", new(emptypb.Empty), new(emptypb.Empty))
	fmt.Printf("versions: otelgrpc %s, OpenTelemetry SDK 1.47.0, grpc-go %s, %s\n", otelgrpc.Version, grpc.Version, runtime.Version())
	fmt.Println("the caller's one call:", status.Code(err))
	traces := map[string]bool{}
	for _, span := range spans.GetSpans() {
		traces[span.SpanContext.TraceID().String()] = true
		fmt.Println("span:", span.SpanKind, span.Name, "status", span.Status.Code, "has a parent", span.Parent.IsValid())
	}
	fmt.Println("guess: one client span, OK")
	fmt.Println("behavior:", len(spans.GetSpans()), "client spans in", len(traces), "traces; two of them say that a call failed which did not")
	if len(spans.GetSpans()) != 3 || len(traces) != 3 || err != nil {
		fmt.Println("the behavior has changed")
		os.Exit(1)
	}
}
GO
(go mod init finding && go mod edit -require=google.golang.org/grpc@v1.85.0 -require=go.opentelemetry.io/otel/sdk@v1.47.0 \
  -require=go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc@v0.72.0 && go build -mod=mod -o finding .) \
  2>go.log || { cat go.log; exit 1; }
timeout 30 ./finding
