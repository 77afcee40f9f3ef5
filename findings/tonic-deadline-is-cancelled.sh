#!/usr/bin/env bash
# Rust's tonic: a call whose deadline passes is CANCELLED "Timeout expired" at its own client, and a message above its server's
# limit is OUT_OF_RANGE, at a grpcio client, too. A guess: DEADLINE_EXCEEDED and RESOURCE_EXHAUSTED, as everywhere.
# Source: gRPC's statuscodes.md.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install -q --disable-pip-version-check grpcio==1.85.1
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.1.0"
edition = "2021"
[dependencies]
tonic = "=0.14.9"
tonic-health = "=0.14.9"
tokio = { version = "=1.54.1", features = ["rt-multi-thread", "macros", "time", "net"] }
tokio-stream = { version = "=0.1.19", features = ["net"] }
TOML
cat >src/main.rs <<'RS'
use std::time::Duration;
use tokio_stream::{wrappers::TcpListenerStream, Empty};
use tonic::{transport::{Endpoint, Server}, Request, Response, Status};
use tonic_health::pb::{health_client::HealthClient, health_server::{Health, HealthServer}, HealthCheckRequest, HealthCheckResponse};

struct Slow;

#[tonic::async_trait]
impl Health for Slow {
    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(Response::new(HealthCheckResponse { status: 1 }))
    }
    type WatchStream = Empty<Result<HealthCheckResponse, Status>>;
    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }
}

#[tokio::main]
async fn main() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(Server::builder().add_service(HealthServer::new(Slow)).serve_with_incoming(TcpListenerStream::new(listener)));
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    let mut request = Request::new(HealthCheckRequest { service: "a".into() });
    request.set_timeout(Duration::from_millis(300));
    let late = client.check(request).await.unwrap_err();
    let large = client.check(HealthCheckRequest { service: "a".repeat(5_000_000) }).await.unwrap_err();
    println!("{} {:?} {:?}", address.port(), late.code(), large.code());
    tokio::time::sleep(Duration::from_secs(20)).await;
}
RS
cargo build -q
cat >main.py <<'PY'
import platform
import subprocess

import grpc

server = subprocess.Popen(["target/debug/finding"], stdout=subprocess.PIPE, text=True)
try:
    port, late, large = server.stdout.readline().split()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:  # a message of one long field, its length as a varint of four bytes
            channel.unary_unary("/grpc.health.v1.Health/Check")(b"\x0a\xc0\x96\xb1\x02" + b"a" * 5_000_000, timeout=9)
            code = "OK"
        except grpc.RpcError as error:
            code = error.code().name
finally:
    server.kill()
print(f"versions: tonic 0.14.9, grpcio {grpc.__version__}, Python {platform.python_version()}")
print(f"tonic client:  deadline {late}, message too large {large}")
print(f"grpcio client: message too large {code}")
print("guess: DEADLINE_EXCEEDED, and RESOURCE_EXHAUSTED twice")
print("behavior: neither; alarms on deadlines stay silent, and somebody seems to have cancelled")
assert (late, large, code) == ("Cancelled", "OutOfRange", "OUT_OF_RANGE"), "the codes have changed"
PY
GRPC_VERBOSITY=NONE timeout 60 venv/bin/python main.py
