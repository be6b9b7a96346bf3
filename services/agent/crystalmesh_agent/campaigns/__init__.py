"""Campaigns at work: from a target to ranked crystals with their evidence."""
