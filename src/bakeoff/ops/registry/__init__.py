"""What is in production and what was, kept as GTO's tags in Git."""
