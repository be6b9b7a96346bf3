"""Whether a crystal would decompose: convex hulls over named sets of reference entries."""
