"""Who writes the structure descriptions of a catalog, by name."""
