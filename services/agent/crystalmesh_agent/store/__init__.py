"""Campaigns that outlive the process: an event log for each, and what follows from it."""
