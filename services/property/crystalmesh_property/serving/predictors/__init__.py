"""Predictors in processes of their own: they use all cores, and one that dies takes nothing with it."""
