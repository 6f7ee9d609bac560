"""What a training stage prints when it is done."""

from collections.abc import Mapping
from typing import Any

from bakeoff.experiments.selection import SELECTION_METRIC


def print_summary(name: str, description: Mapping[str, Any], seconds: float) -> None:
    """Which epoch was chosen, on what grounds, and how large the model is; `description` is training.json."""
    epoch = description["selected_epoch"]
    if description["selection_metric"]:
        best = description["curve"][epoch - 1]
        reason = f"validation {SELECTION_METRIC} {best[f'valid_{SELECTION_METRIC}']:.4f}"
    else:
        reason = "the last one: there are no validation events to choose on"
    print(f"{name}: epoch {epoch} of {max(epoch, len(description['curve']))} ({reason}), in {seconds:.1f} s")
    print(f"  {description['num_parameters']:,} parameters, {description['num_train_events']:,} events")


def print_waiting(measured: Mapping[str, Any]) -> None:
    """How much of the epochs passed without work, where that was measured."""
    if "input_wait_share" in measured:
        print(f"  {100 * measured['input_wait_share']:.1f} % of the epochs' time spent waiting for input")
