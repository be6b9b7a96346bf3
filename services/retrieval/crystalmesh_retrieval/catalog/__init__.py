"""Catalogs of known materials: directories of immutable Parquet segments under a manifest."""
