"""Where negatives come from: each sampler in a file, with its expected counts beside it."""

from bakeoff.models.neural.negatives.candidates import Candidates, NegativeSampler
from bakeoff.models.neural.negatives.catalogue import CatalogueSampler
from bakeoff.models.neural.negatives.factory import make_sampler, make_selector
from bakeoff.models.neural.negatives.hard import HardSelector
from bakeoff.models.neural.negatives.in_batch import InBatchSampler, TargetChances, all_targets
from bakeoff.models.neural.negatives.log_uniform import LogUniformSampler
from bakeoff.models.neural.negatives.mixed import MixedSampler
from bakeoff.models.neural.negatives.popularity import PopularitySampler
from bakeoff.models.neural.negatives.selection import CandidateSelector, Selection, selected_logits
from bakeoff.models.neural.negatives.top_k import TopKSelector
from bakeoff.models.neural.negatives.uniform import UniformSampler

__all__ = [
    "CandidateSelector",
    "Candidates",
    "CatalogueSampler",
    "HardSelector",
    "InBatchSampler",
    "LogUniformSampler",
    "MixedSampler",
    "NegativeSampler",
    "PopularitySampler",
    "Selection",
    "TargetChances",
    "TopKSelector",
    "UniformSampler",
    "all_targets",
    "make_sampler",
    "make_selector",
    "selected_logits",
]
