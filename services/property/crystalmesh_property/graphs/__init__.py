"""Crystals as graphs: how one is built, many are packed into a file, and batches come out of it."""
