"""`params.yaml` as frozen, constrained models: the only place where a knob is set."""

from bakeoff.params.base import Frozen
from bakeoff.params.baselines import EASEParams, RecentPopularityParams
from bakeoff.params.data import ColumnParams, DataParams, SplitParams, ValidationParams
from bakeoff.params.engine import EngineParams
from bakeoff.params.evaluate import CompareParams, EvaluateParams
from bakeoff.params.evidence import EvidenceParams, PlantedParams
from bakeoff.params.mf import MFParams
from bakeoff.params.operations import DriftParams, GuardrailParams, PromotionParams
from bakeoff.params.root import Params, load_params, parse_params
from bakeoff.params.softmax import NegativesParams, SoftmaxParams
from bakeoff.params.two_tower import TwoTowerParams
from bakeoff.params.workers import WorkersParams

__all__ = [
    "ColumnParams",
    "CompareParams",
    "DataParams",
    "DriftParams",
    "EASEParams",
    "EngineParams",
    "EvaluateParams",
    "EvidenceParams",
    "Frozen",
    "GuardrailParams",
    "MFParams",
    "NegativesParams",
    "Params",
    "PlantedParams",
    "PromotionParams",
    "RecentPopularityParams",
    "SoftmaxParams",
    "SplitParams",
    "TwoTowerParams",
    "ValidationParams",
    "WorkersParams",
    "load_params",
    "parse_params",
]
