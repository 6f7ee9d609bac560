"""A causal transformer over histories: the attention tower's way of pooling them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.pooling import Examples, expand
from bakeoff.models.neural.selection import MASKED
from bakeoff.models.neural.spec import SoftmaxParams

OCTAVES = 32
"""Times between two events count by their order of magnitude: 0 s, 1 s, 2–3 s, … 2³¹ s and more."""


class CausalAttention(tf.keras.layers.Layer):
    r"""Reads a history by pre-norm transformer blocks: what the last one computes at the last item that a query reads.

    That is its output, and the mean that each of its H heads attends to. The query tower has a map for each of these
    H + 1 vectors, as for the means of the pooled tower; the output alone ranked worse.

    A block maps x to y = x + Attention(RMSNorm(x)), and y to y + SwiGLU(RMSNorm(y)), SwiGLU(z) = (silu(zW₁) ⊙ zW₂)W₃.
    With z the normalised x, each head h of H attends from item i to the items j ≤ i:

        a_hij = softmax_j(q_hi · k_hj / √(d/H) + p_h(i − j) + t_h(⌊log₂(s_i − s_j)⌋)),
        Attention_i = Σ_h (Σ_j a_hij z_j) M_h.

    p and t are tables that all blocks share: biases by relative position, and by the seconds s between two events, t
    with entries of their own for 0 seconds and for unknown times. Nothing depends on an absolute place, so that a
    history may be cut off at its old end. The mask goes by place and never by time: events of the same second are read
    in their order. All queries of a user share one sequence, and the last block computes their places alone.

    Training starts near the pooled tower: queries are small and p_h(l) = −l/τ_h, with the scales τ of `recency_scales`
    in turn (linear biases: Press et al. 2022; 0 without scales), so that each head starts as a recency mean. M_h maps
    all d dimensions and starts as I/H.

    Vaswani et al. (2017): attention, embeddings times √d. Kang & McAuley (2018), SASRec: causal blocks over a history.
    Zhang & Sennrich (2019): RMSNorm. Shazeer (2020): SwiGLU. Zhai et al. (2024), HSTU: biases by position and time.
    Klenitskiy & Vasilev (2023): SASRec is ahead of BERT4Rec once it is trained by the cross-entropy over the whole
    catalogue (`negatives.sampler: full`) or over many negatives, as here.
    """

    def __init__(self, params: SoftmaxParams, seed: int) -> None:
        """Create the weights.

        Args:
            params: settings; `attention`, `dim`, `max_history` and `recency_scales` count here.
            seed: of the dropout.
        """
        super().__init__(name="attention")
        settings = params.attention
        self.max_history = params.max_history
        self._dim, self._heads, self._width = params.dim, settings.heads, settings.width
        self.num_heads = 1 + settings.heads
        self._dropout, self._seed = settings.dropout, seed
        scales = np.resize(params.recency_scales or (np.inf,), self._heads)
        start = tf.constant_initializer(-np.arange(self.max_history) / scales[:, np.newaxis])
        self.position_bias = self._weight("position_bias", (self._heads, self.max_history), start)
        self.time_bias = self._weight("time_bias", (self._heads, OCTAVES + 2), "zeros")  # the last: unknown
        self._blocks = [self._block(f"block_{depth}") for depth in range(settings.blocks)]
        self.output_norm = self._weight("output_norm", (self._dim,), "ones")

    def call(self, items: Any, times: Any, at: Any, drop_at: Any | None = None) -> Any:
        """The last block's output and heads at C places of each of U sequences.

        Args:
            items: float32 [U, W, d], embeddings, oldest first; anything finite after the last item of a sequence.
            times: int64 [U, W], UTC seconds; 0 where unknown.
            at: int32 [U, C], place of the last item that a query reads; −1: the query reads none.
            drop_at: number of the training step, which decides on what is dropped; None: nothing is.

        Returns:
            float32 [U, C, H + 1, d], the output first, of length 1 at the start; zeros where no item is read.
        """
        is_read, at = tf.cast(at >= 0, tf.float32)[..., tf.newaxis], tf.maximum(at, 0)
        root = self._dim**0.5
        hidden = self._dropped(items * root, drop_at, 0)
        if len(self._blocks) > 1:
            everywhere = tf.broadcast_to(tf.range(tf.shape(items)[1]), tf.shape(items)[:2])
            bias = self._bias(everywhere, times)
            for depth, block in enumerate(self._blocks[:-1]):
                hidden, _ = self._transformed(block, hidden, hidden, bias, drop_at, depth)
        asked, bias = tf.gather(hidden, at, batch_dims=1), self._bias(at, times)
        output, heads = self._transformed(self._blocks[-1], asked, hidden, bias, drop_at, len(self._blocks) - 1)
        found = tf.concat([_normalized(output, self.output_norm)[..., tf.newaxis, :], heads], axis=2)
        return is_read[..., tf.newaxis] * found / root

    def inputs(
        self, examples: Examples, items: NDArray[np.int32], timestamps: NDArray[np.int64], num_users: int
    ) -> dict[str, NDArray[np.generic]]:
        """What a step reads: the longest query of each user as a sequence, and how much of it each query reads.

        Args:
            examples: R queries about U users; those of a user read from the same event on.
            items: int32 [E], the items that are read.
            timestamps: int64 [nnz], of the users' histories.
            num_users: U.

        Returns:
            sequence int32 and sequence_times int64 [U, W], oldest first and 0 where padded; reads int32 [R].
        """
        reads = np.diff(examples.offsets).reshape(num_users, -1)
        longest = np.arange(num_users) * reads.shape[1] + reads.argmax(axis=1)
        lengths = reads.max(axis=1)
        _, rows, places = expand(lengths)
        entries = examples.offsets[longest + 1][rows] - 1 - places  # the last item comes first there
        sequence = np.zeros((num_users, max(1, lengths.max(initial=0))), np.int32)
        times = np.zeros(sequence.shape, np.int64)
        sequence[rows, places], times[rows, places] = items[entries], timestamps[examples.positions[entries]]
        return {"sequence": sequence, "sequence_times": times, "reads": reads.ravel().astype(np.int32)}

    def of_batch(self, item_embeddings: Any, inputs: dict[str, Any], drop_at: Any) -> Any:
        """The R queries of a batch, float32 [R, H + 1, d]; see `inputs`."""
        items = tf.gather(item_embeddings, inputs["sequence"])
        at = tf.reshape(inputs["reads"], [tf.shape(items)[0], -1]) - 1
        return tf.reshape(self(items, inputs["sequence_times"], at, drop_at), [-1, self.num_heads, self._dim])

    def of_padded(self, item_embeddings: Any, lengths: Any, timestamps: Any) -> Any:
        """Whole padded histories, as serving has them: their last `max_history` items.

        Args:
            item_embeddings: [B, W, d], oldest item first; anything where padded.
            lengths: int32 [B].
            timestamps: int64 [B, W], UTC seconds; anything where padded.

        Returns:
            float32 [B, H + 1, d]; zeros for an empty history.
        """
        read = tf.minimum(lengths, self.max_history)
        width = tf.minimum(tf.shape(item_embeddings)[1], self.max_history)
        index = (lengths - read)[:, tf.newaxis] + tf.range(width)
        items, times = (tf.gather(each, index, batch_dims=1) for each in (item_embeddings, timestamps))
        return self(items, times, read[:, tf.newaxis] - 1)[:, 0]

    def _weight(self, name: str, shape: tuple[int, ...], initializer: Any) -> Any:
        return self.add_weight(name=name, shape=shape, initializer=initializer)

    def _block(self, name: str) -> dict[str, Any]:
        """Weights of a block, by name. Its network starts small, and so do its queries."""
        dim, width, small = self._dim, self._width, tf.keras.initializers.VarianceScaling
        mean = tf.constant_initializer(np.tile(np.eye(dim) / self._heads, (self._heads, 1)))
        kernels: dict[str, tuple[tuple[int, ...], Any]] = {
            "query": ((dim, dim), small(0.01)),
            "key": ((dim, dim), "glorot_uniform"),
            "join": ((self._heads * dim, dim), mean),
            "gate": ((dim, width), "glorot_uniform"),
            "up": ((dim, width), "glorot_uniform"),
            "down": ((width, dim), small(0.01)),
            "attention_norm": ((dim,), "ones"),
            "network_norm": ((dim,), "ones"),
        }
        return {kernel: self._weight(f"{name}_{kernel}", *made) for kernel, made in kernels.items()}

    def _bias(self, at: Any, times: Any) -> Any:
        """Biases [H, U, Q, W] of the places `at` [U, Q] towards each of the W places; MASKED towards later ones."""
        lags = at[..., tf.newaxis] - tf.range(tf.shape(times)[1])
        since = tf.gather(times, at, batch_dims=1)[..., tf.newaxis]
        before = times[:, tf.newaxis, :]
        octaves = tf.raw_ops.Bucketize(input=since - before, boundaries=[2.0**power for power in range(OCTAVES)])
        octaves = tf.where((since == 0) | (before == 0), OCTAVES + 1, octaves)
        position, time = (
            tf.gather(table * 1.0, index, axis=1)  # times 1: the gradient of a table is dense, not a row for each pair
            for table, index in ((self.position_bias, tf.maximum(lags, 0)), (self.time_bias, octaves))
        )
        return tf.where(lags >= 0, position + time, MASKED)

    def _transformed(
        self, block: dict[str, Any], asked: Any, read: Any, bias: Any, drop_at: Any, depth: int
    ) -> tuple[Any, Any]:
        """A block's output [U, Q, d] and heads [U, Q, H, d], where `asked` [U, Q, d] attends to `read` [U, W, d]."""
        shape, part = tf.shape(asked), self._dim // self._heads
        inputs, items = (_normalized(each, block["attention_norm"]) for each in (asked, read))
        queries, keys = (
            tf.reshape(tf.matmul(each, block[name]), [shape[0], tf.shape(each)[1], self._heads, part])
            for each, name in ((inputs, "query"), (items, "key"))
        )
        scores = tf.einsum("uqhk,uwhk->huqw", queries, keys) * part**-0.5 + bias
        heads = tf.einsum("huqw,uwd->uqhd", tf.nn.softmax(scores), items)
        joined = tf.matmul(tf.reshape(heads, [shape[0], shape[1], self._heads * self._dim]), block["join"])
        hidden = asked + self._dropped(joined, drop_at, 2 * depth + 1)
        inputs = _normalized(hidden, block["network_norm"])
        gated = tf.nn.silu(tf.matmul(inputs, block["gate"])) * tf.matmul(inputs, block["up"])
        return hidden + self._dropped(tf.matmul(gated, block["down"]), drop_at, 2 * depth + 2), heads

    def _dropped(self, values: Any, drop_at: Any | None, place: int) -> Any:
        """Dropout that follows from the seed, the step and the place in the network."""
        if drop_at is None or self._dropout == 0:
            return values
        seed = tf.random.fold_in(tf.stack([self._seed, tf.cast(drop_at, tf.int32)]), place)
        return tf.nn.experimental.stateless_dropout(values, self._dropout, seed, rng_alg="philox")


def _normalized(values: Any, gain: Any) -> Any:
    """RMSNorm: values / √mean(values²), times a learned gain."""
    return values * tf.math.rsqrt(tf.reduce_mean(tf.square(values), axis=-1, keepdims=True) + 1e-6) * gain
