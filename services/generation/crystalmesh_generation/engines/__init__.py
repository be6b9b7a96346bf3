"""What runs language models: one Protocol, one file per engine."""
