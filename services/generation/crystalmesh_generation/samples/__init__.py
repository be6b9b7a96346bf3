"""One sample: from a prompt to crystals that were proposed for it, and to the one that is its outcome."""
