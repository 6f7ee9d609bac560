"""Search for settings on validation: what is tried, in which order, by which processes."""
