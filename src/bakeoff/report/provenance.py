"""What made the report: parameters, data and packages, each by hash or version. No clock, host or path."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bakeoff.core.yaml_reader import read_yaml
from bakeoff.params import Params

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
"""What can change a figure, or ran the pipeline that made it."""


@dataclass(frozen=True)
class Provenance:
    """How to make the same report again.

    Attributes:
        params: dotted name → value, as YAML would show it, in the order of `params.yaml`'s models.
        params_hash: SHA-256 of all parameters as canonical JSON.
        data_hash: MD5 that DVC recorded for data/; None where data is not under DVC.
        versions: package → installed version.
    """

    params: Mapping[str, str]
    params_hash: str
    data_hash: str | None
    versions: Mapping[str, str]


def provenance(params: Params, data_hash: str | None) -> Provenance:
    """Collect hashes and versions."""
    values = params.model_dump(mode="json")
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return Provenance(
        params=dict(_dotted(values)),
        params_hash=hashlib.sha256(canonical.encode()).hexdigest(),
        data_hash=data_hash,
        versions=package_versions(),
    )


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that matter; those that are not installed are left out."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def read_data_hash(data_dvc: str) -> str | None:
    """Hash of data/ from the text of `data.dvc`; None where it holds none (nothing fetched yet).

    Raises:
        BakeoffError: it is not YAML.
    """
    content = read_yaml(data_dvc.encode("utf-8", "replace"), "data.dvc")
    outs = content.get("outs") if isinstance(content, Mapping) else None
    hashes = [out["md5"] for out in outs if isinstance(out, Mapping) and "md5" in out] if isinstance(outs, list) else []
    return str(hashes[0]) if hashes else None


def _dotted(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            rows += _dotted(value, f"{name}.")
        else:
            rows.append((name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    return rows
