"""Claim 5: MF trains at larger scale; the full softmax does not scale with the catalogue."""

from collections.abc import Mapping, Sequence
from typing import Any

from bakeoff.evaluation.stats.timing_intervals import total
from bakeoff.report.claims.claim import Asked, Expected, Form, Once, Question, Slope, Slopes, Unknown, Words, repeated
from bakeoff.report.evidence import Evidence
from bakeoff.report.formats import count
from bakeoff.report.measured import Skipped, figure, repeated_figure
from bakeoff.report.models import MF, SOFTMAX, model_label
from bakeoff.report.params import ReportParams

COSTS = {
    "wall_seconds": ("wall", "MF is trained sooner", "wall time of training", Form.SECONDS, "epoch_seconds"),
    "cpu_seconds": (
        "cpu",
        "It takes less of the processors",
        "CPU time of training",
        Form.SECONDS,
        "epoch_cpu_seconds",
    ),
}
ALONE = (
    "Of a process that trains and does nothing else. The peak beside the time of training in the verdict is that of "
    "the whole stage, which loads TensorFlow to export the model, MF too."
)
"""Why the memory of growth is less than that of the stages."""
SIDES = (model_label(MF), model_label(SOFTMAX))


def ask(evidence: Evidence, _: ReportParams) -> Asked:
    """What training cost, how that grows with the data, and what the size of the catalogue does to a step."""
    growth = evidence.measured.growth
    return Asked(
        key="training_cost",
        title="Cost of training",
        words="MF trains at larger scale than the DNN; and the full softmax costs O(n) per example, which sampled "
        "negatives avoid.",
        section="growth",
        questions=[*_training(evidence), _memory(growth), _exponents(growth), _catalogue(growth)],
    )


def _training(evidence: Evidence) -> list[Question]:
    """Of the shipped models, as they were trained for this report."""
    mf, softmax = (evidence.models[name].training_cost for name in (MF, SOFTMAX))
    return [
        repeated(
            Words(key, says, measured, *SIDES),
            total(_epochs(mf, epochs), figure(mf, name)),
            total(_epochs(softmax, epochs), figure(softmax, name)),
            Expected.SMALLER,
            form,
            _repeats(len(_epochs(mf, epochs)), len(_epochs(softmax, epochs))),
        )
        for name, (key, says, measured, form, epochs) in COSTS.items()
    ]


def _memory(growth: Mapping[str, Any] | Skipped) -> Question:
    """Of processes that train and do nothing else."""
    words = Words("memory", "It needs less memory", "peak memory of a process that trains on all users", *SIDES)
    if isinstance(growth, Skipped):
        return Unknown(words, growth.reason, is_cost=True)
    largest = {
        row["model"]: figure(row, "peak_memory_bytes") for row in sorted(growth["sizes"], key=lambda row: row["events"])
    }
    first, second = (largest.get(name, float("nan")) for name in (MF, SOFTMAX))
    return Once(words, first, second, Expected.SMALLER, Form.BYTES, repeats="measured once", note=ALONE)


def _epochs(cost: Mapping[str, Any], name: str) -> Sequence[float]:
    """What each epoch cost; empty where it was not measured."""
    found: Sequence[float] = cost.get(name, ())
    return found


def _repeats(mf: int, softmax: int) -> str:
    return f"{count(mf)} and {count(softmax)} epochs timed" if min(mf, softmax) > 1 else "measured once"


def _exponents(growth: Mapping[str, Any] | Skipped) -> Question:
    words = Words(
        key="exponent",
        says="Its cost grows more slowly with the data",
        measured="exponent of CPU time over the number of events",
        first=SIDES[0],
        second=SIDES[1],
    )
    if isinstance(growth, Skipped):
        return Unknown(words, growth.reason, is_cost=True)
    slopes = [_slope(growth, name) for name in (MF, SOFTMAX)]
    mf, softmax = slopes
    if mf is None or softmax is None:
        return Unknown(words, "An exponent needs at least three sizes of the data.", is_cost=True)
    return Slopes(words, mf, softmax)


def _slope(growth: Mapping[str, Any], model: str) -> Slope | None:
    fitted = growth.get("exponents", {}).get(model, {}).get("cpu")
    return Slope(fitted["exponent"], fitted["low"], fitted["high"]) if fitted else None


def _catalogue(growth: Mapping[str, Any] | Skipped) -> Question:
    says = "Sampled negatives make a step cheaper than the full softmax in a large catalogue"
    words = Words("sampled_step", says, "wall time of a training step", "sampled", "full")
    if isinstance(growth, Skipped):
        return Unknown(words, growth.reason, is_cost=True)
    sizes = [row for row in growth.get("catalogues", []) if row.get("full_step_seconds")]
    if not sizes:
        return Unknown(words, "No step was timed.", is_cost=True)
    largest = max(sizes, key=lambda row: int(row["items"]))
    return repeated(
        Words(words.key, says, f"{words.measured} with {count(largest['items'])} items", "sampled", "full"),
        repeated_figure(largest, "sampled_step_seconds"),
        repeated_figure(largest, "full_step_seconds"),
        Expected.SMALLER,
        Form.SECONDS,
        repeats=f"{count(largest['repeats'])} turns of steps each",
    )
