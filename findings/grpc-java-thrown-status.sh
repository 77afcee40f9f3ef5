#!/usr/bin/env bash
# grpc-java: a handler that throws StatusRuntimeException(NOT_FOUND) sends UNKNOWN; passing the same object to onError sends
# NOT_FOUND. A handler that calls onCompleted without an answer logs INTERNAL on the server, and its client gets CANCELLED.
# A guess: throwing and onError are the same; a broken handler is INTERNAL at its client, too.
# Source: grpc-java, TransmitStatusRuntimeExceptionInterceptor (which exists to change the first).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>finding</groupId><artifactId>finding</artifactId><version>1</version><dependencies>
<dependency><groupId>io.grpc</groupId><artifactId>grpc-netty-shaded</artifactId><version>1.85.1</version></dependency>
<dependency><groupId>io.grpc</groupId><artifactId>grpc-stub</artifactId><version>1.85.1</version></dependency>
</dependencies></project>
XML
mvn -q -B -Dmaven.repo.local="$work/m2" dependency:copy-dependencies -DoutputDirectory=lib >/dev/null
cat >Finding.java <<'JAVA'
import io.grpc.*;
import io.grpc.netty.shaded.io.grpc.netty.*;
import io.grpc.stub.*;
import java.io.*;
import java.net.InetSocketAddress;
import java.util.*;
import java.util.concurrent.TimeUnit;
import java.util.logging.*;

class Finding {
  static final List<String> logged = Collections.synchronizedList(new ArrayList<>());
  static final MethodDescriptor.Marshaller<byte[]> BYTES = new MethodDescriptor.Marshaller<>() {
    public InputStream stream(byte[] value) { return new ByteArrayInputStream(value); }
    public byte[] parse(InputStream stream) {
      try { return stream.readAllBytes(); } catch (IOException error) { throw new UncheckedIOException(error); }
    }
  };

  static MethodDescriptor<byte[], byte[]> unary(String name) {
    return MethodDescriptor.<byte[], byte[]>newBuilder().setType(MethodDescriptor.MethodType.UNARY)
        .setFullMethodName("t.T/" + name).setRequestMarshaller(BYTES).setResponseMarshaller(BYTES).build();
  }

  public static void main(String[] arguments) throws Exception {
    LogManager.getLogManager().reset();
    Logger.getLogger("io.grpc").addHandler(new Handler() {
      public void publish(LogRecord record) { if (record.getThrown() != null) logged.add(record.getThrown().getMessage()); }
      public void flush() {}
      public void close() {}
    });
    var gone = Status.NOT_FOUND.withDescription("gone");
    var service = ServerServiceDefinition.builder("t.T")
        .addMethod(unary("Throw"), ServerCalls.asyncUnaryCall((byte[] request, StreamObserver<byte[]> answer) -> {
          throw gone.asRuntimeException();
        }))
        .addMethod(unary("OnError"), ServerCalls.asyncUnaryCall((byte[] request, StreamObserver<byte[]> answer) ->
            answer.onError(gone.asRuntimeException())))
        .addMethod(unary("NoAnswer"), ServerCalls.asyncUnaryCall((byte[] request, StreamObserver<byte[]> answer) ->
            answer.onCompleted()))
        .build();
    var server = NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", 0)).addService(service).build().start();
    var channel = NettyChannelBuilder.forAddress("127.0.0.1", server.getPort()).usePlaintext().build();
    System.out.println("versions: grpc-java 1.85.1, Java " + Runtime.version());
    var seen = new ArrayList<String>();
    for (var name : List.of("Throw", "OnError", "NoAnswer")) {
      try {
        ClientCalls.blockingUnaryCall(channel, unary(name), CallOptions.DEFAULT.withDeadlineAfter(9, TimeUnit.SECONDS), new byte[0]);
      } catch (StatusRuntimeException error) {
        seen.add(error.getStatus().getCode().name());
        System.out.println(name + ": the client gets " + error.getStatus().getCode() + ", " + error.getStatus().getDescription());
      }
    }
    channel.shutdownNow();
    server.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    System.out.println("the server's log has: " + logged);
    System.out.println("guess: NOT_FOUND, NOT_FOUND, INTERNAL");
    System.out.println("behavior: the thrown status is lost with its text, and a missing answer looks as if somebody had cancelled");
    boolean internal = logged.stream().anyMatch(line -> line.startsWith("INTERNAL"));
    System.exit(seen.equals(List.of("UNKNOWN", "NOT_FOUND", "CANCELLED")) && internal ? 0 : 1);
  }
}
JAVA
timeout 60 java -cp 'lib/*' Finding.java
