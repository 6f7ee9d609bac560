"""The sampler and the selector that the settings name."""

from bakeoff.core.histories import Histories
from bakeoff.models.neural.negatives.proposals import (
    CatalogueSampler,
    InBatchSampler,
    LogUniformSampler,
    MixedSampler,
    NegativeSampler,
    PopularitySampler,
    TargetChances,
    UniformSampler,
)
from bakeoff.models.neural.negatives.selection import CandidateSelector, HardSelector, TopKSelector
from bakeoff.models.neural.params import NegativesParams, SamplerName


def make_sampler(
    histories: Histories,
    num_items: int,
    negatives: NegativesParams,
    target_chances: TargetChances,
    users_per_batch: int,
) -> NegativeSampler:
    """The sampler that the settings name, over the events that are trained on.

    Args:
        histories: the events that are trained on.
        num_items: n.
        negatives: settings; every sampled part of a mixture draws `num_sampled`.
        target_chances: of events to be a target once their user is in the batch.
        users_per_batch: B ≥ 1.
    """

    def part(name: SamplerName) -> NegativeSampler:
        match name:
            case "full":
                return CatalogueSampler(num_items)
            case "uniform":
                return UniformSampler(num_items, negatives.num_sampled)
            case "popularity":
                return PopularitySampler(frequencies, negatives.num_sampled, negatives.popularity_exponent)
            case "log-uniform":
                return LogUniformSampler(frequencies, negatives.num_sampled)
            case "in-batch":
                return InBatchSampler(target_chances, histories, users_per_batch, num_items)

    frequencies = histories.item_counts(num_items)
    if negatives.sampler == "mixed":
        return MixedSampler([part(name) for name in negatives.mixture])
    return part(negatives.sampler)


def make_selector(negatives: NegativesParams) -> CandidateSelector | None:
    """The selector that the settings name; none where each query is trained against the whole pool."""
    match negatives.selection:
        case "none":
            return None
        case "hard":
            return HardSelector(negatives.num_selected, negatives.hard_temperature, negatives.logq_correction)
        case "top-k":
            return TopKSelector(negatives.num_selected, negatives.logq_correction)
