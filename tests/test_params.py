"""params.yaml: what is refused, and how that is said."""

from pathlib import Path

import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.core.parameters import Frozen
from bakeoff.evaluation.metrics.table import MetricSet, metrics_of
from bakeoff.params import Params, load_params, parse_params

ROOT = Path(__file__).parents[1]


def test_the_shipped_file_states_every_parameter_that_there_is() -> None:
    shipped = load_params(ROOT / "params.yaml")
    assert set(shipped.model_dump(exclude_unset=True)) == set(Params.model_fields)
    sections = {name: value for name, value in shipped if isinstance(value, Frozen)}
    assert {"recent_popularity", "ease", "mf", "softmax", "split", "evaluate"} < set(sections)
    for name, section in sections.items():
        assert section.model_fields_set == set(type(section).model_fields), name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"softmax": {"dim": 0}}, r"softmax\.dim: .*greater than 0 \(got 0\)"),
        ({"seed": 1.0}, r"seed: Input should be a valid integer \(got 1\.0\)"),
        (
            {"engine": {"name": "spark"}},
            r"engine: there is no such parameter .*environment variables now, see docs/settings\.md",
        ),
        ({"data": {"encoding": "utf-9"}}, r"data\.encoding: .*that Python knows, such as utf-8, cp1252 .*'utf-9'"),
        ({"data": {"encoding": "rot13"}}, r"data\.encoding: .*that Python knows"),
        ({"softmax": {"dim": 10**9}}, r"softmax\.dim: .*less than or equal to 8192 \(got 1000000000\)"),
        ({"mf": {"dim": 8193}}, r"mf\.dim: .*less than or equal to 8192"),
        ({"two_tower": {"item_hidden": [10**6]}}, r"two_tower\.item_hidden\.0: .*less than or equal to 8192"),
        ({"evidence": {"widths": [10**6]}}, r"evidence\.widths\.0: .*less than or equal to 8192"),
        ({"evidence": {"rerank_candidates": []}}, r"evidence\.rerank_candidates: List should have at least 1 item"),
        ({"softmax": {"dimension": 8}}, r"softmax\.dimension: there is no such parameter \(got 8\)$"),
        ({"mf": {"unobserved_wieght": 1}}, r"mf\.unobserved_wieght: .*\(got 1\): did you mean unobserved_weight\?$"),
        ({"sotfmax": {}}, r"sotfmax: there is no such parameter \(got \{\}\): did you mean softmax\?$"),
        ({"mf": None}, r"mf: must be a section, \{\} for its defaults \(got None\)$"),
        (
            {"data": {"columns": {"item_id": "user_id"}}},
            r"data\.columns: user_id and item_id are the same .*'user_id': ",
        ),
        (
            {"softmax": {"negatives": {"sampler": "x"}}},
            r"\n  softmax\.negatives\.sampler: .*'full' or 'mixed' \(got 'x'\)$",
        ),
        ({"softmax": {"hidden": 128}}, r"softmax\.hidden: Input should be a valid list \(got 128\)$"),
        ({"evaluate": {"cutoffs": []}}, r"evaluate\.cutoffs: List should have at least 1 item"),
        ({"ease": {"regularization": 0}}, r"ease\.regularization: .*greater than 0 \(got 0\)"),
        ({"ease": {"recency_scale": 0}}, r"ease\.recency_scale: .*greater than 0 \(got 0\)"),
        ({"recent_popularity": {"window_days": -1}}, r"recent_popularity\.window_days: .*greater than 0 \(got -1\)"),
        (
            {"split": {"test_share": 0.7, "valid_share": 0.3}},
            r"\n  split: test_share 0\.7 \+ valid_share 0\.3 leave nothing to train on: .* below 1$",
        ),
        (
            {"report": {"links": {"more": "javascript:alert(1)"}}},
            r"report\.links: .*'more' leads to 'javascript:.*, no page: name an address that begins with https://",
        ),
        ({"report": {"links": {"more": " "}}}, r"report\.links: .*'more' → ' ' lacks its text or its address"),
        ({"evaluate": {"list_length": 50}}, "list_length 50 is shorter than the largest cutoff 100"),
        (
            {"compare": {"primary_metric": "ndcg@7"}},
            r"\n  compare\.primary_metric 'ndcg@7' is not measured: .* ndcg@10, .*\(evaluate\.cutoffs\)$",
        ),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_place_and_the_reason(values: dict, message: str) -> None:
    with pytest.raises(BakeoffError, match=message):
        parse_params(values)


@pytest.mark.parametrize("metric", metrics_of(MetricSet.ACCURACY))
def test_every_accuracy_metric_may_be_the_primary_one(metric: str) -> None:
    assert parse_params({"compare": {"primary_metric": f"{metric}@20"}}).compare.primary_metric == f"{metric}@20"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("split: [", "is not valid YAML"),
        ("- 1", r"holds \[1\]: it must hold sections"),
        ("# all\n", "holds no value: it must hold sections"),
        ("seed: 1\nseed: 2", "is not valid YAML"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(BakeoffError, match=message):
        load_params(path)


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(BakeoffError, match="run bakeoff in the project's directory"):
        load_params(tmp_path / "params.yaml")
