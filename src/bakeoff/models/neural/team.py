"""Several processes that train one model in step, connected by TensorFlow's collective operations."""

import io
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.base.tensorflow import graph, quiet_native_stderr, tf

CLUSTER = "TF_CONFIG"
"""The environment variable that tells TensorFlow who the workers are and which of them this process is."""


class Team:
    """This process as one of several. Every method is a meeting: it returns once all workers have called it.

    A worker that dies breaks the meetings: those of the others raise `tf.errors.OpError`.
    """

    def __init__(self) -> None:
        """Join the others that CLUSTER names; returns when all are there.

        Raises:
            RuntimeError: TensorFlow was in use already.
        """
        task = json.loads(os.environ[CLUSTER])
        self.index: int = task["task"]["index"]
        """Of this worker; 0 is the chief, who alone validates and writes."""
        self.count = len(task["cluster"]["worker"])
        """Workers."""
        with quiet_native_stderr():
            self._strategy = tf.distribute.MultiWorkerMirroredStrategy()
        integers, floats = tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float64)
        self._add_integers = graph(self._add, input_signature=[integers])
        self._add_floats = graph(self._add, input_signature=[floats])
        self._add_singles = graph(self._add, input_signature=[tf.TensorSpec([None], tf.float32)])

    @property
    def is_chief(self) -> bool:
        """Whether this worker validates and writes."""
        return self.index == 0

    def run(self, function: Any, inputs: Any) -> Any:
        """Call a function in which `all_reduce` is allowed; within a `tf.function`."""
        return self._strategy.run(function, args=(inputs,))

    def all_reduce(self, gradients: Sequence[Any]) -> list[Any]:
        """The sum of every worker's gradients; within `run`.

        Dense ones travel as one vector, since each meeting has its price. Of a table of embeddings only the rows that a
        worker has touched travel; those that several have touched are returned several times.

        Args:
            gradients: tensors and `tf.IndexedSlices`, of the same shapes on all workers, but for the latter's rows.
        """
        context = tf.distribute.get_replica_context()
        dense = [gradient for gradient in gradients if not isinstance(gradient, tf.IndexedSlices)]
        flat = tf.concat([tf.reshape(gradient, [-1]) for gradient in dense], axis=0)
        sparse = [gradient for gradient in gradients if isinstance(gradient, tf.IndexedSlices)]
        total, *rows = context.all_reduce("SUM", [flat, *sparse])
        parts = tf.split(total, [tf.size(gradient) for gradient in dense], num=len(dense))
        summed = iter([tf.reshape(part, tf.shape(gradient)) for part, gradient in zip(parts, dense, strict=True)])
        gathered = iter(rows)
        return [next(gathered if isinstance(each, tf.IndexedSlices) else summed) for each in gradients]

    def sum(self, value: float) -> float:
        """The sum of every worker's value."""
        return float(self._add_floats(tf.constant([value], tf.float64))[0])

    def total(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The sum of every worker's array, all of one shape."""
        total: NDArray[np.float32] = self._add_singles(tf.constant(values.ravel())).numpy()
        return total.reshape(values.shape)

    def share(self, arrays: Mapping[str, NDArray[Any]] | None = None) -> dict[str, NDArray[Any]]:
        """What the chief gives, on every worker, bit for bit.

        Args:
            arrays: the chief's; what others give is not looked at.
        """
        file = io.BytesIO()
        if self.is_chief:
            np.savez(file, allow_pickle=False, **(arrays or {}))
        size = int(self.sum(float(len(file.getvalue()))))
        words = np.zeros(-(-size // 4), np.int32)  # of the others: what is added to the chief's changes nothing
        if self.is_chief:
            words = np.frombuffer(file.getvalue().ljust(4 * len(words), b"\0"), np.int32)
        received = self._add_integers(tf.constant(words)).numpy().tobytes()[:size]
        with np.load(io.BytesIO(received), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}

    def tell(self, values: Any = None) -> Any:
        """JSON values that the chief gives, on every worker."""
        text = json.dumps(values).encode()
        return json.loads(self.share({"json": np.frombuffer(text, np.uint8)})["json"].tobytes())

    def agree(self, digest: str) -> bool:
        """Whether every worker gives the chief's text; where not, the team has parted."""
        if self.sum(float(self.tell(digest) == digest)) == self.count:
            return True
        self.part()
        return False

    def part(self) -> None:
        """Leave together: the last meeting, which alone may fail, begins when each has got all it was owed before.

        Who leaves right after a meeting may be gone before the others have fetched their sums from it.
        """
        with suppress(tf.errors.OpError):
            self.sum(0.0)

    def _add(self, values: Any) -> Any:
        # Made anew within `run`: what is to be reduced must lie on the worker's own device.
        return self.run(lambda each: tf.distribute.get_replica_context().all_reduce("SUM", tf.identity(each)), values)
