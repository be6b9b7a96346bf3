"""Machine-learned potentials as a gRPC service."""
