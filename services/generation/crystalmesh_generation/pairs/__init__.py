"""Pairs of crystals to learn from: a target written in the setting of a reference of the same structure."""
