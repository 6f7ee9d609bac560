"""Bakeoff: matrix factorisation or a softmax DNN, measured on your own interaction data."""

import os
from contextlib import suppress

# TensorFlow Recommenders needs Keras 2, which tf.keras becomes only if this is set before TensorFlow is imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
# Same bytes on the same machine: oneDNN's kernels reorder sums by thread.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# A network learns on one core, so that its weights are the same on any number of them. Two threads wait for each other,
# and take a third more CPU time than one (MovieLens 100K), which stages that run side by side need.
for _variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_variable, "1")
# Idle threads of BLAS sleep after 2⁴ cycles: by default they spin for 2²⁶ and take the core from the thread that they
# wait for. With other stages running, EASE on MovieLens 100K takes 0.4 s of CPU time like this, up to 7 s otherwise.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
# DVC unpickles its cache of hashes, which by default every user of the machine may write (CVE-2025-69872).
if "DVC_SITE_CACHE_DIR" not in os.environ:
    _cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "bakeoff-dvc")
    os.environ["DVC_SITE_CACHE_DIR"] = _cache
    with suppress(OSError):  # only DVC needs it, and says so itself
        os.makedirs(_cache, exist_ok=True)
        os.chmod(_cache, 0o700)
