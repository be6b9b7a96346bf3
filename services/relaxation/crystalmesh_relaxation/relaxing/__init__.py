"""Walking crystals downhill, one step at a time, so that many can share every evaluation."""
