"""By what epochs and settings are chosen, known without TensorFlow."""

SELECTION_METRIC = "ndcg@10"
"""On validation; higher is better."""

SELECTION_LISTS = 20
"""Length of the lists that validation looks at."""
