"""The contenders, what they are trained against, and how they are exported."""
