"""All of `params.yaml`, read and checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import NonNegativeInt, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bakeoff.errors import BakeoffError
from bakeoff.params.base import Frozen
from bakeoff.params.baselines import EASEParams, RecentPopularityParams
from bakeoff.params.data import DataParams, SplitParams, ValidationParams
from bakeoff.params.evaluate import CompareParams, EvaluateParams
from bakeoff.params.evidence import EvidenceParams
from bakeoff.params.mf import MFParams
from bakeoff.params.softmax import SoftmaxParams
from bakeoff.params.two_tower import TwoTowerParams


class Params(Frozen):
    """All of `params.yaml`."""

    seed: NonNegativeInt = 42
    """Seed of the split and of every model."""
    data: DataParams = DataParams()
    validation: ValidationParams = ValidationParams()
    split: SplitParams = SplitParams()
    recent_popularity: RecentPopularityParams = RecentPopularityParams()
    ease: EASEParams = EASEParams()
    mf: MFParams = MFParams()
    softmax: SoftmaxParams = SoftmaxParams()
    two_tower: TwoTowerParams = TwoTowerParams()
    evaluate: EvaluateParams = EvaluateParams()
    evidence: EvidenceParams = EvidenceParams()
    compare: CompareParams = CompareParams()

    @model_validator(mode="after")
    def _primary_metric_is_measured(self) -> Self:
        measured = [f"{name}@{k}" for name in ("ndcg", "recall", "mrr", "hit_rate") for k in self.evaluate.cutoffs]
        if self.compare.primary_metric not in measured:
            raise ValueError(
                f"compare.primary_metric {self.compare.primary_metric!r} is not measured: it must be one of "
                f"{', '.join(measured)} (evaluate.cutoffs)"
            )
        return self


def parse_params(values: Mapping[str, Any], source: str = "params.yaml") -> Params:
    """Check values against the models.

    Raises:
        BakeoffError: names each offending key, its value and what it must be.
    """
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(part) for part in e['loc']) or 'values'}: {e['msg']} (got {e['input']!r})"
            for e in error.errors()
        ]
        raise BakeoffError(f"{source} is not valid:\n" + "\n".join(lines)) from None


def load_params(path: Path) -> Params:
    """Read and check a parameter file.

    Raises:
        BakeoffError: the file is missing, is not YAML, or holds a value that is not valid.
    """
    try:
        values = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BakeoffError(f"{path} does not exist: run bakeoff in the project's directory.") from None
    except OSError as error:
        raise BakeoffError(f"{path} can't be read ({error.strerror}): it must be a readable file.") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise BakeoffError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(values, Mapping):
        raise BakeoffError(f"{path} must hold sections such as `split:`, not {type(values).__name__}.")
    return parse_params(values, str(path))
