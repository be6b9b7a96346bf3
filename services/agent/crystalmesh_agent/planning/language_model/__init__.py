"""Planners that ask a language model, within limits that it cannot leave."""
