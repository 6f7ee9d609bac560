"""Random search on validation, with the same number of settings for each contender.

The settings in params.yaml come from here. Run it in a workspace whose split is made (`make run`):

    python benchmarks/search.py --settings 20 > benchmarks/search.md

Test data is never opened: each setting is trained on the train part and judged on the validation part, at the epoch
that is best there.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from bakeoff.models.mf.trainer import MFTrainer
from bakeoff.models.softmax.trainer import SoftmaxTrainer
from bakeoff.models.training import Trainer, choose_epoch, seed_everything, silent
from bakeoff.params import MFParams, Params, SoftmaxParams, load_params
from bakeoff.preparation.histories import Queries
from bakeoff.stages.prepared import Prepared, load_prepared
from bakeoff.stages.training import SELECTION_METRIC, validation_scores, warm_users
from bakeoff.workspace import Workspace

Setting = Mapping[str, Any]

SPACES: Mapping[str, Mapping[str, list[Any]]] = {
    "mf": {
        "dim": [32, 64, 128],
        "unobserved_weight": [0.05, 0.1, 0.2, 0.3, 0.5, 1.0],
        "regularization": [0.003, 0.005, 0.01, 0.02],
        "regularization_exponent": [0.5, 1.0],
        "recency_scale": [None, 3.0, 6.0, 10.0, 20.0, 40.0],
    },
    "softmax": {
        "dim": [32, 64, 128],
        "hidden": [(), (64,), (128,)],
        "target_window": [3, 5, 10],
        "dropout": [0.2, 0.35, 0.5],
        "temperature": [0.1, 0.2],
        "learning_rate": [0.002, 0.003, 0.006],
    },
}
"""Values that are tried for each knob, every one as likely as the others."""


def draw(space: Mapping[str, list[Any]], rng: np.random.Generator) -> Setting:
    """One setting: each knob independently."""
    return {name: values[rng.integers(len(values))] for name, values in space.items()}


def trainer_of(
    model: str, params: Params, prepared: Prepared, queries: Queries, setting: Setting, seed: int
) -> tuple[Trainer, int]:
    """A fresh trainer with these settings and its number of epochs."""
    if model == "mf":
        mf = MFParams.model_validate({**params.mf.model_dump(), **setting})
        return MFTrainer(queries.histories, prepared.num_items, mf, seed), mf.max_epochs
    softmax = SoftmaxParams.model_validate({**params.softmax.model_dump(), **setting})
    sizes = prepared.user_features.categorical_sizes
    trainer = SoftmaxTrainer(queries, prepared.num_items, prepared.item_features, sizes, softmax, seed)
    return trainer, softmax.max_epochs


def search(
    model: str, params: Params, prepared: Prepared, settings: int, seed: int
) -> tuple[list[tuple[float, int, Setting]], float]:
    """Validation score, epoch and setting of each draw, best first, and the seconds that all took."""
    rng = np.random.default_rng(seed)
    validate: Callable[..., dict[str, float]] = validation_scores(prepared, np.flatnonzero(prepared.valid.lengths))
    queries = prepared.queries(prepared.train, warm_users(prepared))
    results, start = [], time.perf_counter()
    for _ in track(range(settings), model, console=Console(stderr=True), disable=not sys.stderr.isatty()):
        setting = draw(SPACES[model], rng)
        seed_everything(seed)
        trainer, epochs = trainer_of(model, params, prepared, queries, setting, seed)
        found = choose_epoch(trainer, validate, SELECTION_METRIC, epochs, silent)
        results.append((found.curve[found.epoch - 1][f"valid_{SELECTION_METRIC}"], found.epoch, setting))
    return sorted(results, key=lambda row: -row[0]), time.perf_counter() - start


def main() -> None:
    """Print a Markdown table per contender."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=int, default=20, help="settings per contender (default: 20)")
    parser.add_argument("--seed", type=int, default=42, help="of the draws and of every training (default: 42)")
    arguments = parser.parse_args()
    params, prepared = load_params(Workspace().params), load_prepared(Workspace())
    print(f"# Random search on validation, {arguments.settings} settings for each contender\n")
    print(f"Made by `python benchmarks/search.py --settings {arguments.settings} --seed {arguments.seed}`.\n")
    for model, space in SPACES.items():
        results, seconds = search(model, params, prepared, arguments.settings, arguments.seed)
        print(f"## {model}, {seconds:.0f} s\n")
        print(f"| {SELECTION_METRIC} (validation) | epoch | {' | '.join(space)} |")
        print("|" + "---|" * (len(space) + 2))
        for score, epoch, setting in results:
            print(f"| {score:.4f} | {epoch} | {' | '.join(str(setting[name]) for name in space)} |")
        print(flush=True)


if __name__ == "__main__":
    main()
