"""Ionic substitution: known crystals with other elements in the places of theirs, by mined probabilities."""
