#!/usr/bin/env bash
# trustme's issue_cert with nothing but a common name makes a client's certificate that OpenSSL takes and programs in Go refuse:
# its extension for names is empty and marked critical.
# A guess: a certificate that one verifier takes for a client, another takes as well.
# Source: RFC 5280, 4.2.1.6: if the extension is present, the sequence must contain at least one entry.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3}" -m venv env && env/bin/pip install --quiet trustme==1.2.1
cat >make.py <<'PY'
import ssl
from importlib.metadata import version
from pathlib import Path

import trustme

print(f"versions: trustme {version('trustme')}, {ssl.OPENSSL_VERSION}")
authority = trustme.CA()
authority.cert_pem.write_to_path("ca.pem")
server = authority.issue_cert("localhost")


def openssl_takes(client):
    """Shake hands in memory with a server that asks for a certificate."""
    serving, calling = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    serving.verify_mode = ssl.CERT_REQUIRED
    server.configure_cert(serving)
    client.configure_cert(calling)
    for context in (serving, calling):
        authority.configure_trust(context)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        calling.wrap_bio(down, up, server_hostname="localhost"),
        serving.wrap_bio(up, down, server_side=True),
    ]
    for _ in range(6):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return False
    return bool(sides[1].getpeercert())


for name, client in {
    "unnamed": authority.issue_cert(common_name="a client"),
    "named": authority.issue_cert("client.localhost", common_name="a client"),
}.items():
    Path(f"{name}.pem").write_bytes(client.cert_chain_pems[0].bytes())
    print(f"OpenSSL, {name}: {'taken' if openssl_takes(client) else 'refused'}")
PY
cat >main.go <<'GO'
package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"runtime"
)

func read(name string) []byte {
	text, err := os.ReadFile(name)
	if err != nil {
		panic(err)
	}
	block, _ := pem.Decode(text)
	return block.Bytes
}

func taken(name string) string {
	authority, err := x509.ParseCertificate(read("ca.pem"))
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	client, err := x509.ParseCertificate(read(name + ".pem"))
	if err == nil {
		_, err = client.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	}
	if err != nil {
		return "refused: " + err.Error()
	}
	return "taken"
}

func main() {
	fmt.Printf("versions: %s\n", runtime.Version())
	unnamed, named := taken("unnamed"), taken("named")
	fmt.Printf("Go, unnamed: %s\nGo, named: %s\n", unnamed, named)
	fmt.Println("guess: both are taken by both")
	fmt.Println("behavior: Go refuses the one without a name")
	if unnamed == "taken" || named != "taken" {
		fmt.Println("the behavior has changed")
		os.Exit(1)
	}
}
GO
env/bin/python make.py
timeout 60 go run main.go
