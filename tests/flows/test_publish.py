from publish import difference_rows, metric_rows, validation_markdown

VALIDATION = {
    "success": False,
    "messages": ["interactions: 2 of 10 rows are bad"],
    "tables": {
        "interactions": {
            "rows": 10,
            "valid": 8,
            "quarantined": 2,
            "share": 0.2,
            "reasons": {"empty | blank id": 2},
            "expectations": [
                {"expectation": "ids are there", "severity": "critical", "success": False, "unexpected": 2},
                {"expectation": "ratings fit", "severity": "warning", "success": True, "unexpected": 0},
            ],
        }
    },
}


def test_a_metric_is_a_row_and_a_retriever_a_column() -> None:
    metrics = {
        "mf": {"ndcg@10": 0.2, "recall@10": 0.3},
        "softmax": {"ndcg@10": 0.25},
        "difference": {"softmax_vs_mf": {"ndcg@10": {"mean": 0.05}}},
    }
    assert metric_rows(metrics) == [
        {"metric": "ndcg@10", "mf": 0.2, "softmax": 0.25},
        {"metric": "recall@10", "mf": 0.3, "softmax": None},
    ]


def test_a_difference_is_experiment_minus_workspace_where_both_are_known() -> None:
    assert difference_rows({"a": (0.25, 0.75), "b": (None, 1.0)}) == [
        {"metric": "a", "workspace": 0.25, "experiment": 0.75, "difference": 0.5},
        {"metric": "b", "workspace": None, "experiment": 1.0, "difference": None},
    ]


def test_a_bad_verdict_says_what_was_found() -> None:
    lines = validation_markdown(VALIDATION).splitlines()
    assert lines[0] == "# Validation failed"
    assert "- interactions: 2 of 10 rows are bad" in lines
    assert r"| interactions | 10 | 8 | 2 | 20.00% | empty \| blank id: 2 |" in lines
    assert "| interactions | ids are there | critical | 2 |" in lines
    assert "ratings fit" not in "".join(lines)


def test_a_structural_fault_without_tables_is_a_verdict_too() -> None:
    assert "- no such file" in validation_markdown({"success": False, "messages": ["no such file"]})


def test_a_good_verdict_lists_nothing_that_was_not_met() -> None:
    text = validation_markdown({"success": True, "tables": {}})
    assert text.startswith("# Validation passed")
    assert "not met" not in text
