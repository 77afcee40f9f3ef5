"""Corrected tracing of grpc.aio."""
