"""What a row and a split must look like, and what happens to those that do not."""
