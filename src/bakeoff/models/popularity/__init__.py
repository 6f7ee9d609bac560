"""Popularity, of all time or of a recent window."""
