"""Language models of others, behind OpenAI-compatible chat endpoints."""
