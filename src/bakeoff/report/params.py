"""Settings of the comparison and of its pages, and what a report was made from, by hash or version."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from bakeoff.core.parameters import Frozen
from bakeoff.data.params import DataParams, SplitParams
from bakeoff.evaluation.metrics.params import EvaluateParams
from bakeoff.experiments.params import CompareParams, EvidenceParams

PACKAGES = (
    "bakeoff",
    "tensorflow",
    "tf-keras",
    "tensorflow-recommenders",
    "numpy",
    "pandas",
    "pyarrow",
    "ibis-framework",
    "duckdb",
    "great-expectations",
    "dvc",
    "prefect",
)
"""Packages that can change a figure, or that ran the pipeline."""

IDS = ("user_id", "item_id")
"""Columns that may be declared as features, for a learned vector of each user; no side features of anybody."""


class DisplayParams(Frozen):
    """What the pages show."""

    show_ids: bool = False
    """Whether pages and model cards show the ids of users; pseudonyms if not. A pseudonym is a hash of the id: it keeps
    ids out of sight, and does not hide them from someone who has a list of them."""
    links: dict[str, str] = Field(default_factory=dict)
    """What was measured elsewhere, such as with more seeds: text → address, on the web or relative to the report. The
    report names it where it says what one run does not show."""

    @field_validator("links")
    @classmethod
    def _lead_to_pages(cls, links: dict[str, str]) -> dict[str, str]:
        for text, address in links.items():
            if not text.strip() or not address.strip():
                raise ValueError(f"the link {text!r} → {address!r} lacks its text or its address: give both")
            if urlsplit(address).scheme not in ("", "http", "https"):
                raise ValueError(
                    f"the link {text!r} leads to {address!r}, no page: name an address that begins with https:// or "
                    "http://, or a path relative to the report"
                )
        return links


class ReportParams(Protocol):
    """What the report reads of `params.yaml`: the sections of lower layers and its own.

    The settings of models are reached by name only (`variants.resolved`), so that a new model changes nothing here.
    """

    @property
    def seed(self) -> int:
        """Seed of the bootstrap, the permutation test and the sample of users."""

    @property
    def data(self) -> DataParams:
        """Features of users and items."""

    @property
    def split(self) -> SplitParams:
        """How events are divided."""

    @property
    def evaluate(self) -> EvaluateParams:
        """Lengths of the lists that metrics were computed for."""

    @property
    def evidence(self) -> EvidenceParams:
        """Settings of the variants and of the map."""

    @property
    def compare(self) -> CompareParams:
        """How the verdict is reached."""

    @property
    def report(self) -> DisplayParams:
        """What the pages show."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """All parameters as plain values, for the provenance."""


@dataclass(frozen=True)
class Provenance:
    """How to make the same report again.

    Attributes:
        params: dotted name → value, as YAML would show it, in the order of the sections of `params.yaml`.
        params_hash: SHA-256 of all parameters as canonical JSON.
        data_hash: MD5 that DVC recorded for data/; None if data is not under DVC.
        versions: package → installed version.
    """

    params: Mapping[str, str]
    params_hash: str
    data_hash: str | None
    versions: Mapping[str, str]


def provenance(params: ReportParams, data_hash: str | None) -> Provenance:
    """Collect hashes and versions."""
    values = params.model_dump(mode="json")
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    params_hash = hashlib.sha256(canonical.encode()).hexdigest()
    return Provenance(flat(values), params_hash, data_hash, package_versions())


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that matter; packages that are not installed are left out."""
    found = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Dotted name → value as text, of values in nested mappings."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return found
