"""TensorFlow, imported without the lines that its native code prints on every machine without a GPU."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import bakeoff  # noqa: F401 - sets TF_USE_LEGACY_KERAS, which must stand before TensorFlow is imported


@contextmanager
def quiet_native_stderr() -> Iterator[None]:
    """Hold back what native code writes to file descriptor 2; on an error it is shown after all.

    TensorFlow logs "Could not find cuda drivers" and "failed call to cuInit" before its log level applies.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        original = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(original, held.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)


with quiet_native_stderr():
    import tensorflow

    # The first look for devices prints as well. One of several workers joins the others first (`models/team.py`).
    if "TF_CONFIG" not in os.environ:
        tensorflow.config.list_logical_devices()

tf: Any = tensorflow

graph: Any = partial(tensorflow.function, autograph=False)
"""`tf.function` for code without Python's `if` and `while` over tensors: none of ours has them, and translating source
code in search of them is a third of what building a model costs."""

__all__ = ["graph", "quiet_native_stderr", "tf"]
