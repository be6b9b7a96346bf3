"""Many vectors, and the nearest of them: exactly, or by an index that says how often it is right."""
