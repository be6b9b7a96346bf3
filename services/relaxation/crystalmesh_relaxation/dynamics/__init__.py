"""Following a crystal in time."""
