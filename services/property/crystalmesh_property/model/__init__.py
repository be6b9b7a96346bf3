"""The crystal graph network, what it predicts, and the loss it learns from."""
