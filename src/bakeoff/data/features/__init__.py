"""Features of users and items, encoded as numbers."""
