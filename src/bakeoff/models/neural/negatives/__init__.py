"""Negative sampling: samplers (proposals) and selectors (selection), by the names that the settings give them."""
