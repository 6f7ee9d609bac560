"""What the specs of all models promise, and how a package adds its own."""

import os
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.models.base import specs
from bakeoff.models.base.specs import ModelSpec
from bakeoff.params import Params


def test_models_are_in_the_order_in_which_reports_show_them() -> None:
    assert specs.names() == ("popularity", "recent_popularity", "ease", "mf", "softmax", "two_tower")
    assert specs.contenders() == ("mf", "softmax")


def test_a_name_that_is_none_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BakeoffError, match=rf"'als' is not a model: it must be one of {', '.join(specs.names())}\."):
        specs.check_model("als")


@pytest.mark.parametrize("name", specs.names())
def test_a_section_has_the_class_that_the_spec_names(name: str) -> None:
    assert type(Params().section(name)) is specs.spec(name).params


def test_a_model_is_trained_in_epochs_or_fitted_once() -> None:
    with pytest.raises(ValueError, match="either `trainer` or `fit`"):
        ModelSpec("made_up", "Made up", "other", load="a:b", graph="a:c")


def test_an_entry_point_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("extra", "no_such_package.spec:SPECS", specs.ENTRY_POINTS)
    monkeypatch.setattr(specs, "entry_points", lambda group: [broken])
    specs.specs.cache_clear()
    try:
        with pytest.raises(BakeoffError, match=r"no_such_package\.spec:SPECS can't be loaded"):
            specs.names()
    finally:
        specs.specs.cache_clear()


def test_the_command_line_names_a_package_whose_models_cannot_be_loaded(tmp_path, monkeypatch) -> None:
    info = tmp_path / "extra-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{specs.ENTRY_POINTS}]\nextra = no_such_package.spec:SPECS\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    ended = subprocess.run([sys.executable, "-m", "bakeoff", "doctor"], capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: The models of no_such_package.spec:SPECS can't be loaded")


@pytest.mark.parametrize("module", ["bakeoff.cli", "bakeoff.report", "bakeoff.report.render.page", "bakeoff.params"])
def test_importing_it_loads_no_tensorflow(module: str) -> None:
    code = (
        f"import sys, {module}; from bakeoff.models.base import specs; assert specs.names();"
        "print([name for name in ('tensorflow', 'tf_keras', 'prefect') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
