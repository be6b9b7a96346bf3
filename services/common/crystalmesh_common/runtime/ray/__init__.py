"""The same services behind Ray Serve's gRPC proxy: one port for all, replicas beside it."""
