"""Training of a model: the runner that every experiment calls, and what shipped training adds to it."""
