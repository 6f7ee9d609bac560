"""What is trained on the town: MF by the weight of unobserved pairs, the softmax DNN by its negatives."""

from dataclasses import dataclass
from typing import Any

from bakeoff.core.histories import Queries
from bakeoff.data.prepared.tables import Prepared
from bakeoff.experiments.params import PlantedParams
from bakeoff.experiments.planted.generator import Town
from bakeoff.experiments.planted.own_group import OwnGroupTrainer, positives_only
from bakeoff.experiments.training import Build
from bakeoff.models.base.epochs import Trainer
from bakeoff.models.mf.params import MFParams
from bakeoff.models.neural.params import SoftmaxParams
from bakeoff.params import Params
from bakeoff.stages import train_mf, train_softmax

SAMPLED_SHARE = 4
"""A step samples a quarter of the catalogue: of a town this small the shipped number would be all of it."""

SELECTED_SHARE = 4
"""Hard negatives are a quarter of what is sampled."""

SOFTMAX_EPOCHS, LEARNING_RATE = 12, 0.03
"""An epoch of the town is a few steps: the rate at which the data's hundreds of steps are taken would not get far."""


@dataclass(frozen=True)
class Planted:
    """A contender with the settings that it is trained with on the town.

    Attributes:
        name: unique, in file names' letters.
        model: `mf` or `softmax`.
        label: for people.
        base: whether weight or negatives are the shipped ones.
        params: of the whole project.
        build: makes a fresh trainer.
    """

    name: str
    model: str
    label: str
    base: bool
    params: Params
    build: Build

    @property
    def unobserved_weight(self) -> float | None:
        """α₀ of MF; None for the softmax DNN."""
        return self.params.mf.unobserved_weight if self.model == "mf" else None

    @property
    def max_epochs(self) -> int:
        """Epochs that are tried."""
        return self.params.mf.max_epochs if self.model == "mf" else self.params.softmax.max_epochs


def planted_contenders(params: Params, town: Town) -> list[Planted]:
    """All of them, MF first by ascending weight, each through the training code of its own stage.

    MF has as many dimensions as there are groups, which suffices to tell all groups apart and leaves strangers little
    room to miss each other, and the softmax DNN, whose embeddings all have length 1, twice as many. The ridge of MF is
    that of the shipped weight throughout: it would grow with the weight otherwise and blur what the weight does.
    """
    return [*_mf(params), *_softmax(params, town)]


def _mf(params: Params) -> list[Planted]:
    shipped = params.mf.unobserved_weight
    return [
        Planted(
            name=f"mf-{weight:g}",
            model="mf",
            label=f"α₀ = {weight:g}",
            base=weight == shipped,
            params=params.model_copy(update={"mf": mf_settings(params.mf, params.evidence.planted, weight)}),
            build=train_mf.build,
        )
        for weight in sorted({*params.evidence.unobserved_weights, shipped})
    ]


def mf_settings(mf: MFParams, planted: PlantedParams, weight: float) -> MFParams:
    """Those with this weight, as many dimensions as groups, and λ_u what it is with the shipped weight."""
    num_items = planted.groups * planted.items_per_group
    ridge = mf.regularization * (planted.events_per_user + mf.unobserved_weight * num_items) ** (
        mf.regularization_exponent
    )
    return mf.model_copy(
        update={
            "dim": planted.groups,
            "unobserved_weight": weight,
            "regularization": ridge,
            "regularization_exponent": 0.0,
        }
    )


def _softmax(params: Params, town: Town) -> list[Planted]:
    sampled = max(1, town.prepared.num_items // SAMPLED_SHARE)
    hard = {"sampler": "mixed", "selection": "hard", "num_selected": max(1, sampled // SELECTED_SHARE)}
    shipped = params.softmax.negatives

    def own_group(prepared: Prepared, queries: Queries, settings: Params) -> Trainer:
        given = (queries, prepared.num_items, prepared.item_features, settings.softmax, settings.seed)
        return OwnGroupTrainer(*given, town.user_groups)

    def variant(
        name: str, label: str, negatives: dict[str, Any], build: Build = train_softmax.build, **others: Any
    ) -> Planted:
        drawn = {"selection": "none", "num_sampled": sampled} | negatives
        softmax = softmax_settings(params.softmax, params.evidence.planted)
        softmax = softmax.model_copy(update={"negatives": shipped.model_copy(update=drawn), **others})
        base = build is train_softmax.build and (drawn["sampler"], drawn["selection"]) == (
            shipped.sampler,
            shipped.selection,
        )
        return Planted(f"softmax-{name}", "softmax", label, base, params.model_copy(update={"softmax": softmax}), build)

    return [
        variant("positives", "positives only", {"logq_correction": False}, positives_only, loss="multi-hot"),
        variant("own-group", "negatives of the own group only", {}, own_group),
        variant("uniform", "uniform", {"sampler": "uniform"}),
        variant("popularity", "popularity", {"sampler": "popularity"}),
        variant("in-batch", "in-batch", {"sampler": "in-batch"}),
        variant("mixed", "mixed", {"sampler": "mixed"}),
        variant("hard", "hard", hard),
    ]


def softmax_settings(softmax: SoftmaxParams, planted: PlantedParams) -> SoftmaxParams:
    """Those with twice as many dimensions as groups, and a schedule for few steps."""
    return softmax.model_copy(
        update={"dim": 2 * planted.groups, "max_epochs": SOFTMAX_EPOCHS, "learning_rate": LEARNING_RATE}
    )
