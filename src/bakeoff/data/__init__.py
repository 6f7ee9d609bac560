"""From raw tables to the split that models read."""
