"""The pipeline at sizes that grow: made data, every stage measured, exponents, a page."""
