#!/usr/bin/env bash
# Jaeger checks each of Cassandra's `connection.servers` by the rule `url` of govalidator, although they are host names. A name without a
# dot, as services have in compose and Kubernetes, is refused at the start ("does not validate as url"), `localhost` as well;
# an address, a name with a dot and any name with a port are taken. So write `cassandra:9042`, also where `port` says it already.
# A guess: a list of servers takes any host name, and the port beside it is enough.
# Source: jaegertracing/jaeger 1.76.0, internal/storage/cassandra/config/config.go, `Servers []string` with valid:"required,url".
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
export GOMODCACHE="$work/mod"
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/asaskevich/govalidator"
)

// connection has Jaeger's own rule for the field.
type connection struct {
	Servers []string `valid:"required,url"`
}

func main() {
	fmt.Printf("versions: github.com/asaskevich/govalidator a9d515a09cc2 (as in Jaeger 1.76.0), %s\n", runtime.Version())
	same := true
	for _, test := range []struct {
		server string
		taken  bool
	}{
		{"cassandra", false},
		{"cassandra-1", false},
		{"localhost", false},
		{"127.0.0.1", true},
		{"cassandra.default", true},
		{"cassandra:9042", true},
		{"cassandra-1:9042", true},
	} {
		taken, err := govalidator.ValidateStruct(connection{[]string{test.server}})
		word := "taken"
		if err != nil {
			word = "refused: " + err.Error()
		}
		fmt.Printf("%-18s %s\n", test.server, word)
		same = same && taken == test.taken
	}
	fmt.Println("guess: all are taken")
	fmt.Println("behavior: a name needs a dot or a port")
	if !same {
		fmt.Println("the behavior has changed")
		os.Exit(1)
	}
}
GO
(go mod init finding && go mod edit -require=github.com/asaskevich/govalidator@v0.0.0-20230301143203-a9d515a09cc2 && go build -mod=mod -o finding .) \
  2>go.log || { cat go.log; exit 1; }
timeout 30 ./finding
