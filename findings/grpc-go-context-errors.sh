#!/usr/bin/env bash
# grpc-go: status.Code(context.Canceled) is Unknown, and errors.Is(err, context.Canceled) is false for a call that was
# cancelled by its context. A server that returns ctx.Err() sends Canceled all the same.
# A guess: the two families of errors know each other, both ways.
# Source: grpc-go, status.FromContextError (the one function that translates).
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
export GOMODCACHE="$work/mod"
cat >main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

func method(name string, f func(context.Context) error) grpc.MethodDesc {
	return grpc.MethodDesc{MethodName: name, Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		if err := decode(new(emptypb.Empty)); err != nil {
			return nil, err
		}
		return new(emptypb.Empty), f(ctx)
	}}
}

func main() {
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "t.T", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{
		method("Wait", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }),
		method("Canceled", func(context.Context) error { return context.Canceled }),
	}}, nil)
	go server.Serve(listener)
	connection, _ := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	call := func(ctx context.Context, name string) error {
		return connection.Invoke(ctx, "/t.T/"+name, new(emptypb.Empty), new(emptypb.Empty))
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(200*time.Millisecond, cancel)
	cancelled := call(ctx, "Wait")
	ctx, cancel = context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	late := call(ctx, "Wait")
	returned := call(context.Background(), "Canceled")
	fmt.Printf("versions: grpc-go %s, %s\n", grpc.Version, runtime.Version())
	fmt.Println("a cancelled call:  code", status.Code(cancelled), "- errors.Is(err, context.Canceled)", errors.Is(cancelled, context.Canceled))
	fmt.Println("a call past its deadline: code", status.Code(late), "- errors.Is(err, context.DeadlineExceeded)", errors.Is(late, context.DeadlineExceeded))
	fmt.Println("status.Code(context.Canceled):", status.Code(context.Canceled), "- of a server that returns it:", status.Code(returned))
	fmt.Println("guess: true, true, Canceled, Canceled")
	fmt.Println("behavior: false, false, Unknown, Canceled: an interceptor that asks status.Code of a handler's error counts cancels as Unknown")
	same := !errors.Is(cancelled, context.Canceled) && !errors.Is(late, context.DeadlineExceeded) &&
		status.Code(context.Canceled).String() == "Unknown" && status.Code(returned).String() == "Canceled"
	if !same {
		fmt.Println("the behavior has changed")
		os.Exit(1)
	}
}
GO
(go mod init finding && go mod edit -require=google.golang.org/grpc@v1.85.0 && go build -mod=mod -o finding .) 2>go.log || { cat go.log; exit 1; }
timeout 30 ./finding
