"""Metrics of top-k lists: `formulas` defines each, `table` names them and computes all of a set of lists."""
