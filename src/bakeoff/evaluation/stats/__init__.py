"""Intervals and tests over users, and over repeated timings."""
