"""What others find in the files of an evaluation."""

EMBEDDINGS = "item_embeddings.npy"
"""float32 [num_items, dim]: whoever looks at the embedding space alone need not load the model."""
