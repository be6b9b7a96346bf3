"""Texts into points of one space, where properties lie near the structures that have them."""
