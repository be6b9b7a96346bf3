"""Training of the language model: what it is taught, how, and how far it is."""
