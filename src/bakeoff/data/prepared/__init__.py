"""What training, evaluation and reports read of a split: all that is large lies in files, which are mapped."""

from bakeoff.data.prepared.tables import HeldOut, Prepared, load_held_out, load_prepared

__all__ = ["HeldOut", "Prepared", "load_held_out", "load_prepared"]
