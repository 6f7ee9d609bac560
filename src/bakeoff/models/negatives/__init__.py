"""Where negatives come from: each sampler in a file, with its expected counts beside it."""

from bakeoff.models.negatives.candidates import Candidates, NegativeSampler
from bakeoff.models.negatives.catalogue import CatalogueSampler
from bakeoff.models.negatives.hard import HardSelector
from bakeoff.models.negatives.in_batch import InBatchSampler, TargetChances, all_targets
from bakeoff.models.negatives.log_uniform import LogUniformSampler
from bakeoff.models.negatives.make import make_sampler, make_selector
from bakeoff.models.negatives.mixed import MixedSampler
from bakeoff.models.negatives.popularity import PopularitySampler
from bakeoff.models.negatives.selection import CandidateSelector, Selection, selected_logits
from bakeoff.models.negatives.top_k import TopKSelector
from bakeoff.models.negatives.uniform import UniformSampler

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
