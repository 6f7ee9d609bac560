"""TensorFlow, imported without the lines that its native code prints on every machine without a GPU.

And with a C library that keeps the memory of its arrays from step to step.
"""

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import bakeoff  # noqa: F401 - sets TF_USE_LEGACY_KERAS, which must be set before TensorFlow is imported
from bakeoff.core.histories import PAD


@contextmanager
def _quiet_native_stderr() -> Iterator[None]:
    """Capture what native code writes to file descriptor 2; show it only if an error is raised.

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


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of glibc's malloc.h."""


def keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next allocation.

    glibc maps every large block anew and gives it back when it is freed, and the system clears each page at its first
    touch. The arrays of a training step come and go: half of the time of training went there (two epochs of Gowalla,
    256 dimensions: 33 s and 10 million page faults; with this 17 s and 0.1 million). What is kept can be more than what
    is used at the peak: 1.9 GiB there in place of 1.5, on MovieLens less than before. Other C
    libraries have no such settings, and are left alone.
    """
    with suppress(AttributeError, OSError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


keep_freed_memory()

with _quiet_native_stderr():
    import tensorflow

    # The first look for devices prints as well. A multi-worker strategy must be created before it.
    if "TF_CONFIG" not in os.environ:
        tensorflow.config.list_logical_devices()

tf: Any = tensorflow

graph: Any = partial(tensorflow.function, autograph=False)
"""`tf.function` for code without Python's `if` and `while` over tensors: none of ours has them, and translating source
code in search of them is a third of what building a model costs."""


def lookup_table(keys: Sequence[str]) -> Any:
    """The index of each key, for graphs; PAD for anything else."""
    # A table must not be empty, as that of a feature which nobody states would be: "" is no one's key.
    keys_tensor = tf.constant(["", *keys], tf.string)
    values = tf.constant([PAD, *range(len(keys))], tf.int32)
    initializer = tf.lookup.KeyValueTensorInitializer(keys_tensor, values)
    return tf.lookup.StaticHashTable(initializer, PAD)


def seed_everything(seed: int) -> None:
    """Same seed, same bytes: seeds Python, NumPy and TensorFlow, and requests deterministic kernels."""
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
