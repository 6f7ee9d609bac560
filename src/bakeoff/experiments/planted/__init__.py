"""A data set with known groups, on which folding can be seen, and the contenders trained on it."""
