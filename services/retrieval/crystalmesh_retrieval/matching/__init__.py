"""Which materials of a catalog a crystal is."""
