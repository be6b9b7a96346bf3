"""The physical scorecard: what a potential has to get right, and how well it does."""
