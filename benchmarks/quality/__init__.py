"""How good a set of generated crystals is, measured as the papers do; begin at `report.quality_of`."""
