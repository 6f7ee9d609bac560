"""EASE, a linear model of items on items."""
