"""Retrieval of known materials as a gRPC service."""
