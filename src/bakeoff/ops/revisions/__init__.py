"""Two versions of the project compared."""
