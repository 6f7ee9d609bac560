"""Adam whose cost grows with the rows that a step touches, not with the catalogue."""

from typing import Any

from bakeoff.models.base.tensorflow import tf


class LazyAdam(tf.keras.optimizers.legacy.Adam):
    """Adam (Kingma & Ba 2015) that leaves rows of an embedding table without gradient as they are.

    Keras's Adam decays the moments of *every* row at every step: on 10⁶ items that costs a hundred times the step.
    Here moments and weights of untouched rows rest, as in TensorFlow Addons' LazyAdam. Gradients of a row that is
    looked up several times in a step, a user's for each cut, are summed first, as Keras does for every optimizer.
    """

    def _resource_apply_sparse(self, grad: Any, var: Any, indices: Any, apply_state: Any = None) -> Any:
        key = (var.device, var.dtype.base_dtype)
        rates = (apply_state or {}).get(key) or self._fallback_apply_state(*key)
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        m_rows = rates["beta_1_t"] * tf.gather(m, indices) + rates["one_minus_beta_1_t"] * grad
        v_rows = rates["beta_2_t"] * tf.gather(v, indices) + rates["one_minus_beta_2_t"] * grad**2
        step = rates["lr"] * m_rows / (tf.sqrt(v_rows) + rates["epsilon"])
        return tf.group(
            tf.raw_ops.ResourceScatterUpdate(resource=m.handle, indices=indices, updates=m_rows),
            tf.raw_ops.ResourceScatterUpdate(resource=v.handle, indices=indices, updates=v_rows),
            tf.raw_ops.ResourceScatterSub(resource=var.handle, indices=indices, updates=step),
        )
