"""Training that starts from the model in production, and the rules by which it is a full fit all the same.

A model in production has learned from validation: started from its weights, a training could not choose its epoch
there. So a training keeps two sets of weights: those of the epoch that it selected, before validation was added, from
which the next one starts to choose its own; and those that it ships, from which the refit of the next one starts. Every
`refit_every`-th warm training refits from scratch instead.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import file_hash
from bakeoff.core.parameters import Frozen
from bakeoff.core.workspace import Workspace
from bakeoff.data.features.encoding import FeatureEncoding
from bakeoff.data.prepared.tables import Prepared
from bakeoff.experiments.training.checkpoints import Checkpoints
from bakeoff.experiments.training.params import WarmStartParams
from bakeoff.experiments.training.runner import Experiment, Row, best_row
from bakeoff.experiments.training.shipped import ShippedModel, Training
from bakeoff.experiments.training.validation import SELECTION_METRIC
from bakeoff.models.base.start import Start, StartError

DAY = 24 * 3600
_META, _IDS = "meta", "item_ids"


@dataclass(frozen=True, eq=False)
class Parent:
    """What a training leaves to the next one.

    Attributes:
        last: weights of its selected epoch, before validation was added.
        shipped: those after its refit on train and validation.
        full: as `last`, of the last full fit; `last` itself where that was one.
        settings: the model's section, as JSON values.
        split_settings: what decided which of its events were test, as `Params.split_settings`.
        nights: warm fits since the last full one.
        epoch: that the last full fit chose.
        newest: UTC seconds of the newest event that the last full fit learned from; 0 where events have no time.
        record: its version, commit and MD5, once it is kept as one of parents.json.
    """

    last: Start
    shipped: Start
    full: Start
    settings: Mapping[str, Any]
    split_settings: Mapping[str, Any]
    nights: int
    epoch: int
    newest: int
    record: Mapping[str, Any] | None = None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, for one file of NumPy's."""
        parts = {"last": self.last, "shipped": self.shipped} | ({} if self.full is self.last else {"full": self.full})
        meta = {name: getattr(self, name) for name in ("settings", "split_settings", "nights", "epoch", "newest")}
        encodings = {name: part.encoding.model_dump(mode="json") for name, part in parts.items()}
        found: dict[str, NDArray[Any]] = {_META: np.frombuffer(json.dumps(meta | encodings).encode(), np.uint8)}
        for name, part in parts.items():
            found |= {f"{name}/{weight}": array for weight, array in part.weights.items()}
            found[f"{name}/{_IDS}"] = part.item_ids
        return found

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Parent":
        """What `arrays` gave."""
        meta = json.loads(arrays[_META].tobytes())

        def start(part: str) -> Start:
            weights = {name.removeprefix(f"{part}/"): array for name, array in arrays.items() if name.startswith(part)}
            return Start(weights, weights.pop(_IDS), FeatureEncoding.model_validate_json(json.dumps(meta[part])))

        last = start("last")
        full = start("full") if "full" in meta else last
        kept = (meta[name] for name in ("settings", "split_settings", "nights", "epoch", "newest"))
        return cls(last, start("shipped"), full, *kept)


def read_parent(workspace: Workspace, model: str) -> Parent | None:
    """The parent of a model; None where parents.json names none.

    Raises:
        BakeoffError: a file is missing or damaged, or it is not the one that parents.json names.
    """
    path, record = workspace.parents / f"{model}.npz", workspace.parents_record
    try:
        named = json.loads(record.read_text(encoding="utf-8")).get(model) if record.exists() else None
        if named is None:
            return None
        if file_hash(path, "md5") != named["md5"]:
            raise ValueError(f"its MD5 is not {named['md5']}, that of {record.name}")
        with np.load(path, allow_pickle=False) as stored:
            return replace(Parent.of_arrays({name: stored[name] for name in stored.files}), record=named)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise BakeoffError(
            f"{path}, the model that training starts from, can't be read ({error}): run `dvc pull parents.dvc`, or "
            "`bakeoff parents`, which copies it anew. warm_start.mode: off does without it."
        ) from None


def train_auto(
    experiment: Experiment,
    parent: Parent | None,
    params: WarmStartParams,
    split_settings: Mapping[str, Any],
    checkpoints: Sequence[Checkpoints],
) -> tuple[ShippedModel, Parent]:
    """Train as `train_shipped` does, from a parent where the rules allow it; the model and what it leaves to the next.

    Args:
        experiment: what a full fit would be.
        parent: where to start; None: a full fit.
        params: the rules.
        split_settings: what decides which events are test, as `Params.split_settings`.
        checkpoints: of the full fit, and of the warm one.

    Raises:
        BakeoffError: the train part has no event, or the settings don't lead to a usable model.
    """
    reason = why_full(experiment, parent, params, split_settings)
    training, shipped, record = _trained(experiment, parent, params, reason, checkpoints)
    left = leave(training, experiment.settings, split_settings, parent if record["fit"] == "warm" else None)
    record |= {"parent": None if parent is None else parent.record, "nights": left.nights}
    # A warm fit has fewer epochs at a lower rate. The settings that it was asked for, and tuned with, are a full one's.
    asked, known = experiment.settings.model_dump(mode="json"), shipped.description["settings"]
    settings = known | {name: asked[name] for name in ("max_epochs", "learning_rate") if name in known}
    return replace(shipped, description={**shipped.description, "settings": settings, "warm_start": record}), left


def _trained(
    experiment: Experiment,
    parent: Parent | None,
    params: WarmStartParams,
    reason: str | None,
    checkpoints: Sequence[Checkpoints],
) -> tuple[Training, ShippedModel, dict[str, Any]]:
    """The training that the rules lead to, once it has run, its model; and `fit`, warm or full, `reason` and scores.

    `reason`: as `why_full` gives it.
    """
    (of_full, of_warm), scores = checkpoints, dict[str, float]()
    if parent is not None and reason is None:
        try:
            epochs = max(1, round(params.epoch_share * experiment.settings.max_epochs))
            warm = Training(replace(experiment, start=parent.last).with_epochs(epochs), of_warm, keeps=True)
            scores = _compared(warm, warm.select()[1], replace(experiment, start=parent.full))
            reason = _behind(scores, params.margin)
            if reason is None:
                scratch = (parent.nights + 1) % params.refit_every == 0
                if scratch:
                    print(f"{experiment.spec.name}: refit from scratch, for {parent.epoch} epochs", flush=True)
                    shipped = warm.run(experiment, parent.epoch)
                else:
                    shipped = warm.run(replace(warm.experiment, start=parent.shipped))
                return warm, shipped, {"fit": "warm", "reason": None, "from_scratch": scratch, **scores}
        except StartError as error:
            reason = str(error)
    print(f"{experiment.spec.name}: a full fit. {reason}", flush=True)
    training = Training(experiment, of_full, keeps=True)
    return training, training.run(), {"fit": "full", "reason": reason, **scores}


def leave(training: Training, settings: Frozen, split_settings: Mapping[str, Any], parent: Parent | None) -> Parent:
    """What a training that has run leaves to the next one, under the settings of a full fit; `parent`: its start."""
    prepared, section = training.experiment.prepared, settings.model_dump(mode="json")
    ids = np.asarray(prepared.item_ids, np.str_)
    last, shipped = (
        Start(weights, ids, prepared.encoding) for weights in (training.best_weights, training.refit_weights)
    )
    if parent is None:
        return Parent(last, shipped, last, section, split_settings, 0, training.epoch, _newest(prepared))
    nights, full = parent.nights + 1, parent.full
    return Parent(last, shipped, full, section, split_settings, nights, parent.epoch, parent.newest)


def why_full(
    experiment: Experiment, parent: Parent | None, params: WarmStartParams, split_settings: Mapping[str, Any]
) -> str | None:
    """Why a training is a full fit before anything is trained, in a sentence; None if it may start from the parent."""
    if parent is None:
        return "There is no model to start from: `bakeoff parents` copies those in production."
    names = [name for name, value in split_settings.items() if value != parent.split_settings.get(name)]
    if names:
        return (
            f"The split has changed since the model in production was trained ({', '.join(names)}): that model may "
            "have learned from events that are test now."
        )
    ours = experiment.settings.model_dump(mode="json")
    names = [f"{experiment.spec.name}.{name}" for name in ours if ours[name] != parent.settings.get(name)]
    if names:
        return f"Settings have changed since the model in production was trained: {', '.join(names)}."
    days = (_newest(experiment.prepared) - parent.newest) / DAY
    if days >= params.max_days or parent.nights + 1 >= params.max_days:
        since = f"{days:.1f} days of events and {parent.nights + 1} trainings since the last full fit"
        return f"It is due: {since}, and warm_start.max_days is {params.max_days}."
    return None


def _compared(warm: Training, curve: list[Row], full: Experiment) -> dict[str, float]:
    """The warm fit and the last full one on today's validation; nothing without validation events."""
    if warm.validate is None:
        return {}
    before = warm.validate(full.trainer(full.queries(full.prepared.train)).retriever())
    name = f"valid_{SELECTION_METRIC}"
    return {name: best_row(curve)[name], f"{name}_of_last_full_fit": float(before[SELECTION_METRIC])}


def _behind(scores: Mapping[str, float], margin: float) -> str | None:
    """Why the warm fit is not taken; None if it is."""
    if not scores:
        return None
    ours, full = scores.values()
    if ours >= full - margin:
        return None
    return (
        f"Started from the model in production, it reached {SELECTION_METRIC} {ours:.4f} on validation, and the last "
        f"full fit has {full:.4f} on the same users: below it by more than warm_start.margin, {margin:g}."
    )


def _newest(prepared: Prepared) -> int:
    return max(int(part.timestamps.max(initial=0)) for part in (prepared.train, prepared.valid))
