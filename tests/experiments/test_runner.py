import numpy as np
import pytest

from bakeoff.experiments.training import validation
from bakeoff.experiments.training.runner import best_row, run_epochs
from bakeoff.experiments.training.validation import validated_users


class Scripted:
    """A trainer whose losses are given, and whose model is the number of its last epoch."""

    def __init__(self, losses, epochs=0):
        self.losses = losses
        self.epochs = epochs

    def run_epoch(self):
        self.epochs += 1
        return self.losses[self.epochs - 1]

    def retriever(self):
        return self.epochs


def train(scores, **more):
    """Train with these validation scores, one per epoch."""
    trainer = Scripted([1 / n for n in range(1, len(scores) + 1)], len(more.get("before", ())))

    def validate(epoch):
        return {"ndcg@10": scores[epoch - 1], "recall@20": -scores[epoch - 1]}

    return run_epochs(trainer, len(scores), validate=validate, **more), trainer


@pytest.mark.parametrize(
    ("scores", "best"), [([0.1, 0.3, 0.2], 2), ([0.1, 0.3, 0.3, 0.2, 0.3], 2), ([0.5, 0.1, 0.1, 0.6], 4)]
)
def test_the_first_epoch_with_the_best_score_is_the_best_and_every_epoch_is_tried(scores, best):
    found, trainer = train(scores)
    assert best_row(found.curve)["epoch"] == best
    assert trainer.epochs == len(scores)


def test_the_named_metric_decides():
    assert best_row(train([0.1, 0.3, 0.2])[0].curve, "recall@20")["epoch"] == 1


def test_without_validation_the_last_epoch_is_the_best():
    assert best_row(run_epochs(Scripted([3.0, 2.0]), 2).curve) == {"epoch": 2, "loss": 2.0}


def test_the_curve_has_a_row_of_plain_numbers_per_epoch():
    curve = train([np.float32(0.5), 0.25])[0].curve
    assert curve == [
        {"epoch": 1, "loss": 1, "valid_ndcg@10": 0.5, "valid_recall@20": -0.5},
        {"epoch": 2, "loss": 0.5, "valid_ndcg@10": 0.25, "valid_recall@20": -0.25},
    ]
    assert type(curve[0]["valid_ndcg@10"]) is float


def test_validation_is_looked_at_in_steps_and_after_the_last_epoch():
    curve = train([0.1] * 5, every=2)[0].curve
    assert [row["epoch"] for row in curve if "valid_ndcg@10" in row] == [2, 4, 5]


def test_the_pace_decides_which_epochs_run():
    found = run_epochs(Scripted([3.0, 2.0, 1.0]), 3, pace=lambda epochs: list(epochs)[:2])
    assert [row["epoch"] for row in found.curve] == [1, 2]


def test_every_epoch_has_its_cost_with_and_without_validation():
    found, _ = train([0.1, 0.2, 0.3])
    assert len(found.training) == len(found.total) == 3
    assert all(0 < alone.wall <= whole.wall for alone, whole in zip(found.training, found.total, strict=True))


def test_epochs_of_an_earlier_process_count_and_are_not_run_again():
    whole, _ = train([0.1, 0.3, 0.2])
    resumed, trainer = train([0.1, 0.3, 0.2], before=whole.curve[:2])
    assert resumed.curve == whole.curve
    assert trainer.epochs == 3
    assert len(resumed.training) == 1


def test_the_curve_so_far_is_passed_on_after_each_epoch():
    seen = []
    train([0.1, 0.3], after_epoch=lambda curve: seen.append([row["valid_ndcg@10"] for row in curve]))
    assert seen == [[0.1], [0.1, 0.3]]


def test_an_error_after_an_epoch_ends_the_training():
    def enough(curve):
        if len(curve) == 2:
            raise StopAsyncIteration

    trainer = Scripted([1.0, 1.0, 1.0])
    with pytest.raises(StopAsyncIteration):
        run_epochs(trainer, 3, after_epoch=enough)
    assert trainer.epochs == 2


def test_all_users_with_validation_events_are_validated():
    assert validated_users(np.array([2, 0, 1]), seed=1).tolist() == [0, 2]


def test_of_too_many_users_a_seeded_sample_is_validated(monkeypatch):
    monkeypatch.setattr(validation, "MAX_VALIDATED_USERS", 10)
    lengths = np.arange(100) % 2
    users = validated_users(lengths, seed=1)
    assert len(set(users)) == 10
    assert (np.diff(users) > 0).all()
    assert lengths[users].all()
    assert users.tolist() == validated_users(lengths, seed=1).tolist() != validated_users(lengths, seed=2).tolist()
