"""CHGNet's network evaluated three times as fast, with its own weights."""
