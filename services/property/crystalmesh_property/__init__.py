"""Prediction of properties of crystals as a gRPC service."""
