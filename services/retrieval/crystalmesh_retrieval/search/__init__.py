"""Searching: what a query reads as, its nearest materials, and the catalogs that are served."""
