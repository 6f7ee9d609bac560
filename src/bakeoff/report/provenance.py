"""What the report was made from: parameters, data and packages, by hash or version; no clock, host or path."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bakeoff.report.params import ReportParams

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
    return Provenance(
        params=flat(values),
        params_hash=hashlib.sha256(canonical.encode()).hexdigest(),
        data_hash=data_hash,
        versions=package_versions(),
    )


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that matter; packages that are not installed are left out."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
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
