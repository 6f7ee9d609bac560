"""What `bakeoff tune` would have computed: no TensorFlow, no split."""

from functools import partial

from bakeoff.core.errors import BakeoffError


def make_objective(prepared, model, section, seed):
    """More regularisation is better."""
    return partial(_objective, model)


def _objective(model, values, report):
    if model == "softmax":
        raise BakeoffError("it is too large")
    for epoch in (1, 2):
        report(epoch, values["regularization"] * epoch)
    return values["regularization"] * 2, 2
