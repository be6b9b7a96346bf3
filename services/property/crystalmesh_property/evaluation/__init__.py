"""Which rows may be learnt from, which are judged, and how: apart from model and training code.

An agent that edits the model or the training must not touch this package, nor `graphs`.
"""
