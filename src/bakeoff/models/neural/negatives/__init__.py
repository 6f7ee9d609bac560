"""Negative sampling: samplers (proposals), selectors (selection), and what the settings name (factory)."""
