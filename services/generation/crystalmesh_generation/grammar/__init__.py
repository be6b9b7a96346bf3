"""Which words may follow: an automaton over our words that admits crystals within limits, and no others."""
