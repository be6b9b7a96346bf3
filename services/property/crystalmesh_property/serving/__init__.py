"""Trained models as a service: which there are, what each is asked for, and the processes that predict."""
