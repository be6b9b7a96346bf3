"""Campaigns and studies as gRPC services."""
