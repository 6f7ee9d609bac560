"""The pipeline at sizes that grow: synthetic data, every stage measured, exponents, a page."""
