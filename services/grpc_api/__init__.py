"""The two gRPC APIs of Python that a service can be served by: grpc.aio, and the synchronous one with its pool.

A service is written once, in coroutines. On grpc.aio an event loop runs them. On the synchronous API each call's
coroutine runs in a thread of the server's pool from its beginning to its end, without any loop: what it waits for (a
call to a service behind, the database, an event) blocks that thread, as a plain function would, so it never suspends.
What the coroutines wait by is an `Api`; the two modules `aio` and `threads` fulfil it.
"""
