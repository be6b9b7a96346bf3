"""Generation of crystals by language models as a gRPC service."""
