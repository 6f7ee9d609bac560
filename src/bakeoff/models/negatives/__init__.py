"""Where negatives come from: each sampler in a file, with its expected counts beside it."""

from bakeoff.models.negatives.candidates import Candidates, NegativeSampler
from bakeoff.models.negatives.catalogue import CatalogueSampler
from bakeoff.models.negatives.in_batch import InBatchSampler
from bakeoff.models.negatives.popularity import PopularitySampler
from bakeoff.models.negatives.uniform import UniformSampler

__all__ = [
    "Candidates",
    "CatalogueSampler",
    "InBatchSampler",
    "NegativeSampler",
    "PopularitySampler",
    "UniformSampler",
]
