"""Language models in processes of their own: one that dies takes nothing with it."""
