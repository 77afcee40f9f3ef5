#!/usr/bin/env bash
# Go's otelgrpc: the server span of a call whose deadline has passed has CANCELLED, unset, where the caller's reset comes
# before the server's own timer: in nearly all calls on one machine. A call of an unknown method has no server span at all.
# A guess: DEADLINE_EXCEEDED, an error, as the caller got and the server's own deadline said; and UNIMPLEMENTED.
# Source: semantic conventions for gRPC (a SERVER span fails for DEADLINE_EXCEEDED and UNIMPLEMENTED, not for CANCELLED).
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
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

const calls = 30

func main() {
	wait := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		if err := decode(new(emptypb.Empty)); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	server := grpc.NewServer(grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithTracerProvider(provider))))
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "t.T", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Wait", Handler: wait}}}, nil)
	go server.Serve(listener)
	connection, _ := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	call := func(method string) codes.Code {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		return status.Code(connection.Invoke(ctx, method, new(emptypb.Empty), new(emptypb.Empty)))
	}
	got := map[codes.Code]int{}
	for range calls {
		got[call("/t.T/Wait")]++
	}
	unknown := call("/t.T/Unheard")
	server.GracefulStop()
	said, unheard := map[string]int{}, 0
	for _, span := range spans.GetSpans() {
		if span.Name == "t.T/Unheard" {
			unheard++
		}
		for _, attribute := range span.Attributes {
			if name := string(attribute.Key); name == "rpc.response.status_code" || name == "rpc.grpc.status_code" {
				said[fmt.Sprint(attribute.Value.AsInterface(), " ", span.Status.Code)]++
			}
		}
	}
	fmt.Printf("versions: otelgrpc %s, OpenTelemetry SDK 1.47.0, grpc-go %s, %s\n", otelgrpc.Version, grpc.Version, runtime.Version())
	fmt.Println("the caller got:", got, "and of an unknown method", unknown)
	fmt.Println("server spans said:", said, "and of the unknown method there are", unheard)
	fmt.Println("guess: DEADLINE_EXCEEDED, an error, for each of them; UNIMPLEMENTED, an error")
	fmt.Println("behavior: CANCELLED, which is no error, where the caller's reset came first; no span of an unknown method")
	if got[codes.DeadlineExceeded] != calls || said["CANCELLED Unset"] == 0 || unheard != 0 || unknown != codes.Unimplemented {
		fmt.Println("the behavior has changed")
		os.Exit(1)
	}
}
GO
(go mod init finding && go mod edit -require=google.golang.org/grpc@v1.85.0 -require=go.opentelemetry.io/otel/sdk@v1.47.0 \
  -require=go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc@v0.72.0 && go build -mod=mod -o finding .) \
  2>go.log || { cat go.log; exit 1; }
timeout 60 ./finding
