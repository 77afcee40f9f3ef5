"""What `lab run` puts into a Python program: `sitecustomize` at its start, the tracing once it imports gRPC."""
