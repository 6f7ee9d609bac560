"""Matrix factorisation as a TensorFlow module, for the export: fold-in inside the graph."""

from typing import Any

from bakeoff.models.base.encoder import ArraysEncoder, padded_recency_weights
from bakeoff.models.base.tensorflow import tf


class MFEncoder(ArraysEncoder):
    """The graph of an `MFRetriever`."""

    def embed_queries(self, history: Any, timestamps: Any, dense: Any, categorical: Any) -> Any:
        """Query embeddings float32 [B, d]; features and times have no place in MF."""
        weights, ridge = self._weights(history)
        spectrum = self._retriever.params.unobserved_weight * self.spectrum
        embeddings = solve(history, weights, self.item_embeddings, spectrum, ridge)
        return tf.where(self.uses_fallback(history)[:, tf.newaxis], self.mean_user, embeddings)

    def explain(self, history: Any, timestamps: Any, dense: Any, categorical: Any, items: Any) -> Any:
        """Terms of the folded-in score, y_i·x = Σ_j w_j y_iᵀ A⁻¹ y_j, float64 [m, W]; none without history.

        A = Σ_j w_j y_j y_jᵀ + α₀ Λ + λ_u I is the system that fold-in solves: Hu, Koren & Volinsky (2008), section 5,
        whose (YᵀCᵘY + λI)⁻¹ it is in the scale of Rendle et al. (see als.py).
        """
        weights, ridge = (tf.cast(each, tf.float64) for each in self._weights(history))
        events = tf.maximum(history[0], 0)
        y, asked = (tf.cast(tf.gather(self.item_embeddings, each), tf.float64) for each in (events, items))
        diagonal = self._retriever.params.unobserved_weight * tf.cast(self.spectrum, tf.float64) + ridge[0]
        system = tf.matmul(y * weights[0][:, tf.newaxis], y, transpose_a=True) + tf.linalg.diag(diagonal)
        solved = tf.linalg.cholesky_solve(tf.linalg.cholesky(system), tf.transpose(asked))  # (d, m)
        return tf.transpose(tf.matmul(y, solved)) * weights

    def _weights(self, history: Any) -> tuple[Any, Any]:
        """Confidence of each event [B, W], 0 where padded, and λ_u [B]."""
        p = self._retriever.params
        weights = padded_recency_weights(history, p.recency_scale)
        base = tf.reduce_sum(weights, axis=1) + p.unobserved_weight * self.item_embeddings.shape[0]
        ridge = p.regularization * base**p.regularization_exponent
        # Without history and with α₀ = 0 there is no ridge either; that row's solution is not used.
        return weights, tf.where(self.uses_fallback(history), 1.0, ridge)


def solve(columns: Any, weights: Any, others: Any, spectrum: Any, ridge: Any) -> Any:
    """Least-squares optimum of rows, by the smaller of two systems (see kernels.solve_cholesky).

    With W ≥ d columns a Cholesky factor of the d × d system itself; with fewer, of the W × W system of the Woodbury
    identity, which for a history of 30 items at d = 512 is a thousandth of the work.

    Args:
        columns: int32 [B, W], observed columns of each row, PAD-padded.
        weights: float32 [B, W], weight of each observed pair, ≥ 0; 0 where padded.
        others: float32 [n, d], embeddings of the columns in the eigenbasis of their Gramian.
        spectrum: float32 [d], the Gramian's diagonal times α₀.
        ridge: float32 [B], λ_u > 0.

    Returns:
        float32 [B, d]: (Σ w y yᵀ + diag(spectrum) + λ_u I)⁻¹ Σ w y; 0 for a row without weight.
    """
    dense = spectrum[tf.newaxis, :] + ridge[:, tf.newaxis]  # (B, d)
    roots = tf.sqrt(weights)[:, :, tf.newaxis]
    y = roots * tf.gather(others, tf.maximum(columns, 0))  # (B, W, d)

    def by_dimensions() -> Any:
        matrix = tf.matmul(y, y, transpose_a=True) + tf.linalg.diag(dense)  # (B, d, d)
        target = tf.matmul(y, roots, transpose_a=True)
        return tf.linalg.cholesky_solve(tf.linalg.cholesky(matrix), target)[:, :, 0]

    def by_columns() -> Any:
        scaled = y / tf.sqrt(dense)[:, tf.newaxis, :]
        matrix = tf.matmul(scaled, scaled, transpose_b=True) + tf.eye(tf.shape(y)[1])  # (B, W, W)
        found = tf.linalg.cholesky_solve(tf.linalg.cholesky(matrix), roots)
        return tf.matmul(scaled, found, transpose_a=True)[:, :, 0] / tf.sqrt(dense)

    return tf.cond(tf.shape(y)[1] < tf.shape(y)[2], by_columns, by_dimensions)
