"""Who decides what a campaign makes next."""
