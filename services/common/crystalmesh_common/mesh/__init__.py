"""A mesh on one machine: which services make it, and the supervisor that keeps them running."""
