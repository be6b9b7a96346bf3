"""Which models there are, and which is asked for."""
