"""Softmax DNN: a query tower over history and features, item embeddings as the output layer."""
