"""The vectors of a catalog by one encoder: derived from it, beside it, and made again where they are lost."""
