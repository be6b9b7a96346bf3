"""Crystals: reading, writing, checking, describing and comparing them."""
