import numpy as np
import pytest

from bakeoff.experiments.params import EvidenceParams, PlantedParams
from bakeoff.experiments.planted.contenders import generate, planted_contenders
from bakeoff.experiments.planted.measure import evaluate_planted, project_items
from bakeoff.experiments.training.runner import Experiment, train_keeping_best, warm_users
from bakeoff.experiments.training.validation import validation_scores
from bakeoff.models.base.specs import spec
from bakeoff.params import Params

PARAMS = PlantedParams(groups=2, users_per_group=20, items_per_group=30, events_per_user=8)


@pytest.fixture(scope="module")
def dataset():
    return generate(PARAMS, 1)


class Fixed:
    """A retriever that knows the groups and, within them, what is popular; or takes each for the other."""

    def __init__(self, dataset, right):
        self._item_groups = dataset.item_groups
        counts = dataset.prepared.known().item_counts(len(dataset.item_groups))
        popularity = (1 + counts.astype(np.float32) / 100)[:, np.newaxis]
        one_hot = np.eye(2, dtype=np.float32)[dataset.item_groups if right else 1 - dataset.item_groups]
        self.item_embeddings = popularity * one_hot

    def embed_queries(self, queries):
        histories = queries.histories
        return np.eye(2, dtype=np.float32)[self._item_groups[histories.items[histories.offsets[:-1]]]]

    def uses_fallback(self, queries):
        return np.zeros(len(queries), bool)


class Moody:
    """Is right after its second epoch and wrong after the others."""

    epoch = 0
    num_parameters = 0

    def __init__(self, dataset):
        self._dataset = dataset

    def run_epoch(self):
        self.epoch += 1
        return 0.0

    def retriever(self):
        return Fixed(self._dataset, right=self.epoch == 2)

    def state(self):
        return {"epoch": np.array(self.epoch)}

    def restore(self, state):
        self.epoch = int(state["epoch"])


def test_the_model_is_that_of_the_epoch_that_validation_chose(dataset):
    experiment = Experiment(spec("mf"), Params().mf, dataset.prepared, 0, build=lambda *arguments: Moody(dataset))
    trained = train_keeping_best(experiment, validation_scores(dataset.prepared, warm_users(dataset.prepared)))
    assert trained.epoch == 2
    assert not evaluate_planted(trained.retriever, dataset, 0)[0]["off_group@10"].any()


def test_a_model_that_knows_the_groups_does_not_fold(dataset):
    per_user, _ = evaluate_planted(Fixed(dataset, right=True), dataset, 0)
    assert not per_user["folding"].any()
    assert not per_user["off_group@10"].any()
    assert per_user["recall@10"].mean() > 0


def test_a_model_that_confuses_the_groups_recommends_nothing_else(dataset):
    # No known pair scores above a random one, so that no score is worth more than 1/2 and all foreign ones are.
    per_user, _ = evaluate_planted(Fixed(dataset, right=False), dataset, 0)
    assert not per_user["recall@10"].any()
    assert (per_user["off_group@10"] == 1).all()
    assert per_user["folding"].mean() == pytest.approx(0.25)


def test_a_projection_keeps_the_two_directions_of_most_spread():
    # Most along the third axis, half of that along the first, next to nothing along the second; all centred.
    embeddings = np.array([[3, 0, 0], [-1.5, 0.1, 0], [-1.5, -0.1, 0], [0, 0, 6], [0, 0, -3], [0, 0, -3]], np.float32)
    expected = np.array([[0, 0.5], [0, -0.25], [0, -0.25], [1, 0], [-0.5, 0], [-0.5, 0]])
    assert project_items(embeddings) == pytest.approx(expected, abs=1e-3)
    assert project_items(-embeddings) == pytest.approx(expected, abs=1e-3)


def test_a_projection_is_the_same_for_mirrored_shifted_and_scaled_embeddings():
    embeddings = np.random.default_rng(2).normal(size=(20, 3)).astype(np.float32)
    assert project_items(3 - 2 * embeddings) == pytest.approx(project_items(embeddings), abs=1e-5)


@pytest.mark.parametrize("embeddings", [np.zeros((3, 4)), np.ones((3, 1)), np.ones((1, 2))])
def test_embeddings_that_do_not_differ_lie_at_the_origin(embeddings):
    assert project_items(embeddings.astype(np.float32)).tolist() == [[0, 0]] * len(embeddings)


def test_the_ridge_is_that_of_the_shipped_weight_for_every_weight():
    # λ (|S_u| + α₀ |I|)^ν with the shipped α₀ = .5: .01 · (8 + .5 · 60)^1 = .38
    dataset = generate(PARAMS, 1)
    shipped = Params(evidence=EvidenceParams(planted=PARAMS)).experiments
    changes = {"mf.unobserved_weight": 0.5, "mf.regularization": 0.01, "mf.regularization_exponent": 1.0}
    contenders = planted_contenders(shipped.with_values(changes, "test"), dataset)
    found = [experiment.settings for variant, experiment in contenders if variant.model == "mf"]
    assert {10.0, 0.5} < {each.unobserved_weight for each in found}
    assert {each.regularization_exponent for each in found} == {0}
    assert [each.regularization for each in found] == pytest.approx([0.38] * len(found))


def test_attention_whose_heads_do_not_divide_the_few_dimensions_is_pooled(dataset):
    # 2 groups: dimension 4, which 64 heads do not divide. No event has a time, so that attention would be off anyway.
    shipped = Params(evidence=EvidenceParams(planted=PARAMS)).experiments
    attending = shipped.with_values({"softmax.tower": "attention", "softmax.attention.heads": 64}, "test")
    found = [each.settings for variant, each in planted_contenders(attending, dataset) if variant.model == "softmax"]
    assert {each.tower for each in found} == {"pooled"}


def test_each_contender_has_a_name_of_its_own_and_each_model_one_that_is_shipped(dataset):
    contenders = [variant for variant, _ in planted_contenders(Params().experiments, dataset)]
    assert len({each.name for each in contenders}) == len(contenders)
    assert sorted(each.model for each in contenders if each.base) == ["ease", "mf", "popularity", "softmax"]


def test_weights_of_mf_ascend_and_hold_the_shipped_one_once(dataset):
    params = Params()
    contenders = planted_contenders(params.experiments, dataset)
    weights = [each.settings.unobserved_weight for variant, each in contenders if variant.model == "mf"]
    assert weights == sorted({*params.evidence.unobserved_weights, params.mf.unobserved_weight})
