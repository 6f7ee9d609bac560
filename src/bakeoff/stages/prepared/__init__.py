"""What training, evaluation and reports read of a split: vocabulary and features in memory, histories in files."""

from bakeoff.stages.prepared.tables import HeldOut, Prepared, load_held_out, load_prepared

__all__ = ["HeldOut", "Prepared", "load_held_out", "load_prepared"]
