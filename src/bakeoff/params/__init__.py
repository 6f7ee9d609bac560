"""`params.yaml` as frozen, constrained models: the only place where a knob is set."""

from bakeoff.params.base import Frozen
from bakeoff.params.data import ColumnParams, DataParams, SplitParams, ValidationParams
from bakeoff.params.evaluate import CompareParams, EvaluateParams
from bakeoff.params.mf import MFParams
from bakeoff.params.root import Params, load_params, parse_params
from bakeoff.params.softmax import NegativesParams, SoftmaxParams

__all__ = [
    "ColumnParams",
    "CompareParams",
    "DataParams",
    "EvaluateParams",
    "Frozen",
    "MFParams",
    "NegativesParams",
    "Params",
    "SoftmaxParams",
    "SplitParams",
    "ValidationParams",
    "load_params",
    "parse_params",
]
