"""How the network is trained: one configuration, fixed budgets, resumable."""
