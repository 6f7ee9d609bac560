"""Curves of settings: their files, and what becomes of one."""

from pathlib import Path
from types import SimpleNamespace

import curve
import pytest
from curve import CURVES, Curve, Judge, Point, markdown, page_of, points, read_curve
from harness.datasets import BENCHMARKS, settings_of
from tiny_bench import two_halves

from bakeoff.data.prepared.tables import Prepared
from bakeoff.experiments.params import with_values
from bakeoff.params import Params, parse_params

FILES = sorted(CURVES.glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_setting_of_a_curve_is_one_that_the_contender_can_have(path: Path) -> None:
    found = read_curve(path)
    standing = parse_params(settings_of(BENCHMARKS[found.benchmark]), "the benchmark")
    for setting in found.settings:
        name = next((name for name in setting if isinstance(setting[name], dict)), found.contender)
        with_values(standing.section(name), setting.get(name, setting), "a curve", name)
    assert {} in found.settings


@pytest.mark.parametrize("text", ["title: x", "{title: x, benchmark: none, contender: mf, why: y, settings: []}"])
def test_a_file_that_is_no_curve_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"bad\.yaml: .* is missing or unknown"):
        read_curve(tmp_path / "bad.yaml")


def drawn(**changed: object) -> Curve:
    values = {"title": "Tiny", "benchmark": "ml-100k", "contender": "mf", "why": "To see.\n", "users": 0}
    settings = [{}, {"dim": 4}, {"ease": {"regularization": 5}}]
    return Curve(**{**values, "settings": settings, "choose": True, **changed})


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """Twenty users of two halves of a catalogue."""
    made = two_halves()
    monkeypatch.setattr(curve, "load_prepared", lambda _: made)
    return made


def test_each_setting_is_fitted_asked_and_named(prepared: Prepared) -> None:
    split = SimpleNamespace(workspace=None, params=Params(mf={"dim": 2, "max_epochs": 3}))
    found = dict(points(drawn(), split))
    assert list(found) == ["as benchmarked", "`dim` 4", "EASE: `regularization` 5"]
    assert all(set(point.scores) == {"ndcg@10", "recall@20"} for point in found.values())
    assert all(point.scores["recall@20"] == 1 for point in found.values())  # of ten items each is in the first twenty
    assert found["EASE: `regularization` 5"].epochs == 1
    assert 1 <= found["`dim` 4"].epochs <= 3
    (_, last), *_ = points(drawn(choose=False), split)
    assert last.epochs == 3


def test_every_benchmark_has_its_metrics(prepared: Prepared) -> None:
    split = SimpleNamespace(workspace=None, params=Params(mf={"dim": 2, "max_epochs": 1}))
    gowalla = drawn(benchmark="gowalla", settings=[{}], choose=False)
    [(_, point)] = points(gowalla, split)
    assert point.scores["recall_of_all@20"] == 1


def test_some_users_are_drawn_by_a_seed(prepared: Prepared) -> None:
    few = Judge(prepared, ("ndcg@10",), 5).rows
    assert len(few) == 5
    assert few.tolist() == Judge(prepared, ("ndcg@10",), 5).rows.tolist()
    assert len(Judge(prepared, ("ndcg@10",), 0).rows) == 20


def test_a_page_shows_each_setting_and_says_how_it_was_made() -> None:
    found = [("as benchmarked", Point({"ndcg@10": 0.25, "recall@20": 0.5}, 7, 3.21, 4.56))]
    found.append(("`dim` 4", Point({"ndcg@10": 0.2, "recall@20": 0.75}, 3, 1.0, 1.1)))
    text = markdown(page_of("tiny", drawn(users=6000), found))
    assert text.startswith("# Tiny\n\nTo see.\n\n| setting | NDCG@10 | Capped recall@20 | epochs | fit, s | CPU, s |")
    assert "| as benchmarked | 0.2500 | 0.5000 | 7 | 3.2 | 4.6 |" in text
    assert "| `dim` 4 | 0.2000 | 0.7500 | 3 | 1.0 | 1.1 |" in text
    assert "each fitted on train with the epoch that validation chose. 6,000 of its users were asked about" in text
    assert "with all its epochs" in markdown(page_of("tiny", drawn(choose=False), found))
