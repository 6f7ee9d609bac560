"""Figures to tables, charts and words."""
