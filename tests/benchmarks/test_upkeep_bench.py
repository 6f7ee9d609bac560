"""The page about looking after a workspace: what counts as found, and what is left of a person."""

import json

import pytest
import upkeep
from scaling.data import Size


@pytest.mark.parametrize(
    ("fault", "check", "state", "changed", "found"),
    [
        ("no stage has run", "dvc", "warning", ["dvc"], True),
        ("no stage has run", "dvc", "ok", [], False),
        ("no stage has run", "dvc", "not applicable", ["dvc"], False),
        ("no stage has run", "dvc", "warning", ["data", "dvc"], False),  # a false alarm of another check
        ("data.dvc was deleted", "data", "problem", ["data", "dvc remote"], True),
        ("data.dvc was deleted", "data", "ok", ["dvc remote"], False),
    ],
)
def test_a_fault_is_found_by_its_check_alone(fault, check, state, changed, found):
    assert upkeep.is_found({"fault": fault, "check": check, "state": state, "changed": changed}) is found


def test_what_follows_from_a_fault_is_a_check_that_there_is():
    assert set(upkeep.FOLLOW) < set(upkeep.FAULTS)
    assert set().union(*upkeep.FOLLOW.values()) <= {check for check, *_ in upkeep.FAULTS.values()}
    assert upkeep.AT_WORK in upkeep.FAULTS


def test_the_page_tells_what_was_found_and_what_was_removed(tmp_path, monkeypatch):
    wanted = ("TensorFlow is told to use Keras 3", upkeep.AT_WORK)
    monkeypatch.setattr(upkeep, "FAULTS", {name: upkeep.FAULTS[name] for name in wanted})
    monkeypatch.setattr(upkeep, "ROUNDS", 1)
    monkeypatch.setattr(upkeep, "LISTS", 30)
    root = tmp_path / "workspace"
    upkeep.sound(root, Size(3_000, 100, 600), versions=2)
    page = json.loads(json.dumps({"cores": 2, "doctor": upkeep.faults(root), "forget": upkeep.forgotten(root)}))
    assert {name: page["forget"][name] for name in ("versions", "versions_named", "found_afterwards")} == {
        "versions": 2,
        "versions_named": 2,
        "found_afterwards": 0,
    }
    text = " ".join(upkeep.markdown(page).split())
    assert "2 of 2 faults are named by the check that should name them" in text
    assert "| another run is at work | locks | warning | – |" in text
    assert f"It removed {page['forget']['of_theirs']} of 3,000 events" in text
    assert "found 0 times in data/ and in the log. Nothing of others was lost." in text
    page["doctor"]["faults"][0]["changed"] = []
    page["forget"]["left"]["log"] -= 1
    text = upkeep.markdown(page)
    assert "1 of 2 faults" in text
    assert "| TensorFlow is told to use Keras 3 | keras | **not found** | – |" in text
    assert "**Rows of others were lost.**" in text
