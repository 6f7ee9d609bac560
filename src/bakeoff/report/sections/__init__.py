"""Sections of the evidence: each computes its figures from the evidence, then draws and words them."""
