"""The nearest-neighbour model as a TensorFlow module."""

from bakeoff.models.base.encoder import HISTORY_SIGNATURE, QUERY_SIGNATURE
from bakeoff.models.base.tensorflow import graph, tf


class ItemKNNEncoder(tf.Module):
    def __init__(self, retriever):
        super().__init__(name="item_knn")
        self.item_embeddings = tf.Variable(retriever.item_embeddings, trainable=False)

    @graph(input_signature=QUERY_SIGNATURE)
    def embed_queries(self, history, timestamps, dense, categorical):
        return tf.reduce_max(tf.one_hot(history, tf.shape(self.item_embeddings)[0]), axis=1)

    @graph(input_signature=HISTORY_SIGNATURE)
    def uses_fallback(self, history):
        return tf.zeros(tf.shape(history)[:1], tf.bool)
