"""Transitions written by somebody else's language model: asked for once, kept, and learnt from."""
