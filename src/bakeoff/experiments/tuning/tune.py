"""`bakeoff tune`: search for settings on validation and propose the best as a diff of params.yaml.

The chosen values get there by a round trip through ruamel.yaml, which keeps comments and order.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial, reduce
from io import StringIO
from operator import getitem
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.representer import RoundTripRepresenter

from bakeoff.core.errors import BakeoffError, first_line
from bakeoff.core.files import file_hash, locked, write_json, write_text
from bakeoff.core.parameters import Frozen, read_yaml
from bakeoff.core.subprocesses import read_output
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch.versioning import is_versioned, read_data_hash
from bakeoff.data.params import DataParams, SplitParams
from bakeoff.data.prepared.tables import Prepared, load_prepared
from bakeoff.experiments.params import with_values
from bakeoff.experiments.training.checkpoints import fingerprint
from bakeoff.experiments.training.runner import Experiment, best_row, train_keeping_best
from bakeoff.experiments.training.validation import SELECTION_METRIC, shipped_validation
from bakeoff.experiments.tuning.trials import (
    FINAL_SHARE,
    Final,
    Objective,
    Report,
    Space,
    TuningStudy,
    current_values,
    outcome,
    record,
    space_of,
    trial_seconds,
)
from bakeoff.models.base import specs


def run(
    workspace: Workspace,
    model: str,
    section: Frozen,
    seed: int,
    data: DataParams,
    split: SplitParams,
    trials: int | None,
    timeout: float,
    apply: bool,
) -> None:
    """Search until the study has `trials` trials or has taken `timeout` seconds, earlier runs included.

    Reads artifacts/split except its test part, once DVC has brought it up to date. The study is in .bakeoff/tuning, its
    record in tuning/<model>.json, pinned for DVC by tuning/<model>.json.dvc.

    Args:
        workspace: of the project.
        model: whose settings are searched.
        section: current settings of the model; their values are the first trial.
        seed: of the search and of every trial; those after it decide between the best few.
        data: name of the data set and weights of events, for the record.
        split: how events were divided, for the record.
        trials: in total; None: as many as the time allows.
        timeout: wall time in total, in seconds.
        apply: whether to write the best values into params.yaml.

    Raises:
        BakeoffError: there is nothing to search or no split, DVC can't bring it up to date, another run uses the study,
            or no trial was completed.
        SystemExit: with status 130 after Ctrl-C; the next run continues the study.
    """
    _update_split(workspace.root)
    # By the hash of data/ `compare` knows whether it judges the data that was searched on.
    data_dvc = workspace.root / "data.dvc"
    data_hash = read_data_hash(data_dvc.read_text(encoding="utf-8")) if data_dvc.exists() else None
    space, of_all = space_of(model, section), "" if trials is None else f" of {trials}"
    prepared = load_prepared(workspace)
    path = workspace.root / ".bakeoff/tuning" / f"{model}-{_identity(prepared, model, section, space, seed)}.journal"
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock"), _refuse):
        study = TuningStudy(path, space, current_values(section, space), seed, getattr(section, "max_epochs", 0))
        print(f"{model}: searching {', '.join(space)} by validation {SELECTION_METRIC}", flush=True)
        print(f"{model}: {len(study.tried)}{of_all} trials are done, in {study.seconds:.0f} s", flush=True)
        try:
            make = partial(make_objective, prepared, model, section)
            after_trial = partial(_print_trial, study, model)
            study.optimize(make(seed), trials, timeout, after_trial, FINAL_SHARE * timeout)
            study.run_finals(make, timeout, partial(_print_final, model))
        except KeyboardInterrupt:
            print(f"{model}: interrupted after {len(study.tried)}{of_all} trials; the same command continues.")
            raise SystemExit(130) from None  # as shells have it
        if (best := study.best) is None:
            reasons = {trial.user_attrs["reason"] for trial in study.tried if trial.state is TrialState.FAIL}
            why = "; ".join(sorted(reasons)) or "give the search more time"
            raise BakeoffError(f"None of {len(study.tried)} trials of {model} ran to its end ({why}).")
        divided = {**split.model_dump(mode="json"), "event_weights": data.event_weights}
        head = {"model": model, "dataset": data.dataset, "data": data_hash, "split": divided}
        found = record(study, best, timeout)
    _write_record(workspace.tuning(model), head | {"metric": SELECTION_METRIC, "seed": seed} | found)
    print(f"{model}: best of {found['trials']} trials is {_described(best)}, after {found['wall_seconds']:.0f} s")
    if seeds := found["best"]["seeds"]:
        further, score = (
            "a further seed" if seeds == 1 else f"{seeds} further seeds, on average,",
            found["best"]["value"],
        )
        print(f"  with {further} it has {score:.4f}, the most of the {len(study.finalists)} that scored highest")
    print(f"  {workspace.tuning(model)} is the record; commit it with {model}.json.dvc")
    _propose(workspace.params, model, best.user_attrs["values"], apply=apply)


def _update_split(root: Path) -> None:
    """Run the stages up to the split where they are stale: the record names data and settings as they are now."""
    if is_versioned(root) and (root / "dvc.yaml").exists():
        print("Bringing the split up to date: dvc repro split", flush=True)
        read_output(["dvc", "--wait-for-lock", "repro", "split"], root)


def make_objective(prepared: Prepared, model: str, section: Frozen, seed: int) -> Objective:
    """A function that tries values of a model's section.

    Args:
        prepared: the split.
        model: whose settings are tried.
        section: values of the settings that are not tried.
        seed: of every trial.

    Raises:
        BakeoffError: the split has no train or no validation event, or the model can't be trained on it.
    """
    shipped = Experiment(specs.spec(model), section, prepared, seed)
    _ = shipped.users  # raises where there are none
    validate = shipped_validation(prepared, seed)
    if validate is None:
        raise BakeoffError("The validation part has no event to choose on: raise split.valid_share.")
    if (reason := shipped.why_not) is not None:
        raise BakeoffError(f"{model} can't be tuned on this data: {reason}")

    metric = f"valid_{SELECTION_METRIC}"

    def objective(values: Mapping[str, Any], report: Report) -> tuple[float, int | None]:
        """Score and number of the best epoch; every epoch is reported, and a model without epochs has one score."""
        tried = replace(shipped, settings=with_values(section, values, f"Trial of {model}", model))
        try:
            trained = train_keeping_best(
                tried, validate, after_epoch=lambda curve: report(int(curve[-1]["epoch"]), curve[-1][metric])
            )
            if trained.epoch is None:
                return validate(trained.retriever)[SELECTION_METRIC], None
        except Exception as error:
            # TensorFlow's, which not every model imports: too large for the memory, singular. Other values may do.
            if any(each.__module__.startswith("tensorflow.") for each in type(error).__mro__):
                raise BakeoffError(first_line(error)) from None
            raise
        return best_row(trained.curve)[metric], trained.epoch

    return objective


def _identity(prepared: Prepared, model: str, section: Frozen, space: Space, seed: int) -> str:
    """Hash of what all trials of a study share: data, code, space, seed and the settings that are not searched."""
    fixed = section.model_dump(mode="json")
    for name in space:
        *parents, last = name.split(".")
        del reduce(getitem, parents, fixed)[last]
    decisive = {"seed": seed, "fixed": fixed, "space": {name: asdict(search) for name, search in space.items()}}
    return fingerprint(prepared, specs.spec(model), decisive)[:12]


def _refuse() -> None:
    raise BakeoffError("Another `bakeoff tune` uses this study: wait until it ends.") from None


def _print_trial(study: TuningStudy, model: str, trial: FrozenTrial) -> None:
    best = study.best
    so_far = "no best yet" if best is None else f"best {best.value:.4f}, trial {best.number}"
    print(f"{model}: {_described(trial)} in {trial_seconds(trial):.1f} s ({so_far})", flush=True)


def _print_final(model: str, final: Final) -> None:
    print(f"{model}: seed {final.seed}, trial {final.trial}, {final.value:.4f} in {final.seconds:.1f} s", flush=True)


def _described(trial: FrozenTrial) -> str:
    """A trial in a few words, such as `trial 3, 0.2077 at epoch 12`."""
    if trial.state is TrialState.FAIL:
        return f"trial {trial.number}, failed ({trial.user_attrs['reason']})"
    score, epoch = outcome(trial)
    state = "pruned, " if trial.state is TrialState.PRUNED else ""
    result = "without a score" if score is None else f"{score:.4f}"
    return f"trial {trial.number}, {state}{result}" + ("" if epoch is None else f" at epoch {epoch}")


def _propose(path: Path, model: str, values: dict[str, object], *, apply: bool) -> None:
    """Print the diff of params.yaml, as it is now, and write it if wished."""
    before = path.read_text(encoding="utf-8-sig")
    read_yaml(before.encode(), str(path))  # it may have been edited during the search
    after = with_chosen(before, model, values)
    if before == after:
        print("  params.yaml has these values already.")
    elif apply:
        write_text(path, after)
        print(f"{unified_diff(before, after)}\n  params.yaml has these values now: review the change and commit it.")
    else:
        print(f"{unified_diff(before, after)}\n  --apply writes this into params.yaml.")


def _write_record(path: Path, kept: dict[str, object]) -> None:
    """Write the record and pin it: Git keeps the file, DVC only its hash, and no stage makes it."""
    write_json(path, kept)
    description = f"Trials of `bakeoff tune {path.stem}`; Git keeps the record, and only that command makes it."
    md5, size = file_hash(path, "md5"), path.stat().st_size
    pin = f"- md5: {md5}\n  size: {size}\n  hash: md5\n  path: {path.name}\n  cache: false\n"
    write_text(path.with_name(f"{path.name}.dvc"), f"desc: {description}\nouts:\n{pin}")


class _ExplicitNull(RoundTripRepresenter):
    """Writes `null`, where ruamel.yaml would leave the value empty."""


_ExplicitNull.add_representer(type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null"))


def with_chosen(text: str, section: str, values: Mapping[str, Any]) -> str:
    """The file with these values in a section.

    Args:
        text: of params.yaml, valid YAML with a mapping at its root.
        section: name of the section; added at the end if it is missing.
        values: by name within the section; nested names have a dot. A missing key is added as the first of its section.
    """
    yaml = YAML()
    yaml.Representer = _ExplicitNull
    yaml.preserve_quotes = True
    yaml.width = 10**6  # no line is wrapped
    yaml.default_flow_style = None  # new lists in one line
    if indented := re.search(r"^( +)\w", text, re.MULTILINE):
        yaml.indent(mapping=len(indented[1]))
    document = yaml.load(text)
    for name, value in values.items():
        _set(document, [section, *name.split(".")], value, len(document))
    stream = StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def _set(place: CommentedMap, keys: Sequence[str], value: Any, position: int = 0) -> None:
    """Set a value; a missing key is inserted at the position, which is 0 in a section.

    At the end of a section, it would come after the comment above the next section.
    """
    key, *rest = keys
    if key not in place:
        place.insert(position, key, CommentedMap() if rest else value)
    if rest:
        _set(place[key], rest, value)
    elif isinstance(place[key], list) and isinstance(value, list):
        place[key][:] = value  # in place: the comment belongs to the list
    elif place[key] != value:  # 6 and 6.0 are equal: the spelling of the file stays
        place[key] = value


def unified_diff(before: str, after: str) -> str:
    """What changed in params.yaml, for review; empty if nothing did."""
    old, new = (text.splitlines(keepends=True) for text in (before, after))
    return "".join(difflib.unified_diff(old, new, "a/params.yaml", "b/params.yaml"))
