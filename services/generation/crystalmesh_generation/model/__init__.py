"""The language model with two heads: one writes, one tells values."""
