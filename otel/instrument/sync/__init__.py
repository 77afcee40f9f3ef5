"""Corrected tracing of the synchronous API: `grpc.server` with its thread pool, `grpc.insecure_channel`."""
