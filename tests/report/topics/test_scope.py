"""What a claim covers, and the notes that keep a reader from taking its figures for more."""

from dataclasses import replace

from topic_parts import parts

from bakeoff.params import Params
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence
from bakeoff.report.topics.base.claims import Claim, ClaimOutcome, tally
from bakeoff.report.topics.base.topic import judge_claims


def test_memory_of_training_alone_is_told_from_the_peak_of_the_stage(claims: dict[str, Claim]):
    memory = next(part for part in claims["training_cost"].parts if part.words.says == "It needs less memory")
    assert memory.basis == "measured once"
    assert "a process that only trains" in memory.note
    assert "validation and the refit" in memory.note


def test_no_model_of_the_planted_groups_is_called_shipped_as_a_whole(claims: dict[str, Claim]):
    planted = [part.words for key, part in parts(claims["folding"]).items() if key.startswith("planted_")]
    assert len(planted) == 4
    sides = {side for words in planted for side in (words.first, words.second)}
    assert not any("as shipped" in side for side in sides)
    assert {"MF with the shipped weight", "Softmax DNN with the shipped negatives"} <= sides


def test_parts_that_rest_on_variants_say_what_those_were_trained_on(claims: dict[str, Claim]):
    said = "Trained on the train part alone."
    noted = {
        (key, part.words.key) for key, claim in claims.items() for part in claim.parts if part.note.startswith(said)
    }
    expected = {
        ("new_users", f"{kind}_features_{of}") for kind, of in (("user", "new"), ("user", "warm"), ("item", "warm"))
    }
    expected |= {("folding", key) for key in parts(claims["folding"]) if key.startswith("own_")}
    expected |= {("depth", "deep"), ("depth", "wide")}
    assert expected <= noted
    assert {key for key, _ in noted} <= {"new_users", "new_items", "folding", "depth"}
    assert not any(key.startswith(("told_", "planted_")) for _, key in noted)


def test_quality_is_asked_by_every_metric_and_decided_by_one(claims: dict[str, Claim]):
    found = list(parts(claims["quality"]))
    measured = [f"{name}@10" for name in ("ndcg", "recall", "mrr", "hit_rate")]
    assert found == [*(f"vs_mf_{metric}" for metric in measured), "vs_best_baseline"]
    assert " of 2 deciding parts" in tally(claims["quality"])  # all metrics are one finding


def test_a_metric_that_does_not_decide_takes_nothing_from_quality(evidence: Evidence, params: Params):
    models = dict(evidence.models)
    users = models["softmax"].users
    models["softmax"] = replace(models["softmax"], users=users.assign(**{"mrr@10": models["mf"].users["mrr@10"]}))
    statistics = Statistics(confidence=0.95, resamples=2000, seed=1)
    [claim] = [c for c in judge_claims(replace(evidence, models=models), params, statistics) if c.key == "quality"]
    assert parts(claim)["vs_mf_mrr@10"].outcome is ClaimOutcome.TOO_FEW
    assert [part.words.key for part in claim.deciding] == ["vs_mf_ndcg@10", "vs_best_baseline"]
