"""Bakeoff: matrix factorisation or a softmax DNN, measured on your own interaction data."""

import os

# TensorFlow Recommenders needs Keras 2, which tf.keras becomes only if this is set before TensorFlow is imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
# Same bytes on the same machine: oneDNN's kernels reorder sums by thread.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
