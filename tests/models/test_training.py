import numpy as np
import pytest

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.base.trainer import Selection, choose_epoch, count_weights, refit, seed_everything, silent


class Scripted:
    """A trainer whose losses and validation scores are written down beforehand."""

    def __init__(self, losses):
        self.losses = losses
        self.epochs = 0

    def run_epoch(self):
        self.epochs += 1
        return self.losses[self.epochs - 1]

    def encoder(self):
        return self.epochs


def choose(scores, metric="ndcg@10", progress=silent, **more):
    trainer = Scripted([1 / n for n in range(1, len(scores) + 1)])
    trainer.epochs = len(more.get("before", ()))

    def validate(encoder):
        return {"ndcg@10": scores[encoder - 1], "recall@20": -scores[encoder - 1]}

    return choose_epoch(trainer, validate, metric, len(scores), progress, **more), trainer


def test_the_epoch_with_the_best_validation_score_is_chosen():
    assert choose([0.1, 0.3, 0.2])[0].epoch == 2


def test_among_equals_the_first_is_chosen():
    assert choose([0.1, 0.3, 0.3, 0.2, 0.3])[0].epoch == 2


def test_the_named_metric_decides():
    assert choose([0.1, 0.3, 0.2], metric="recall@20")[0].epoch == 1


def test_every_epoch_is_tried_even_after_scores_fall():
    selection, trainer = choose([0.5, 0.1, 0.1, 0.6])
    assert (trainer.epochs, selection.epoch) == (4, 4)


def test_the_curve_has_a_row_per_epoch():
    assert choose([0.1, 0.25])[0].curve == [
        {"epoch": 1, "loss": 1, "valid_ndcg@10": 0.1, "valid_recall@20": -0.1},
        {"epoch": 2, "loss": 0.5, "valid_ndcg@10": 0.25, "valid_recall@20": -0.25},
    ]


def test_figures_of_the_curve_are_plain_numbers():
    [row] = choose([np.float32(0.5)])[0].curve
    assert type(row["valid_ndcg@10"]) is float


def test_progress_is_told_what_is_going_on():
    told = []

    def progress(epochs, title):
        told.append((list(epochs), title))
        return epochs

    choose([0.1, 0.2], progress=progress)
    refit(Scripted([3, 2]), 2, progress)
    assert told == [([1, 2], "choosing the epoch on validation"), ([1, 2], "refitting on train and validation")]


def test_a_refit_runs_for_as_many_epochs_as_were_chosen():
    trainer = Scripted([3.0, 2.0, 1.0])
    assert refit(trainer, 2, silent) == [{"epoch": 1, "loss": 3.0}, {"epoch": 2, "loss": 2.0}]
    assert trainer.epochs == 2


def test_epochs_that_lie_behind_a_trainer_count_and_are_not_run_again():
    whole, _ = choose([0.1, 0.3, 0.2])
    resumed, trainer = choose([0.1, 0.3, 0.2], before=whole.curve[:2])
    assert resumed == whole
    assert trainer.epochs == 3
    trainer = Scripted([3.0, 2.0])
    trainer.epochs = 1
    assert refit(trainer, 2, silent, before=[{"epoch": 1, "loss": 3.0}]) == [
        {"epoch": 1, "loss": 3.0},
        {"epoch": 2, "loss": 2.0},
    ]


def test_after_each_epoch_the_curve_so_far_is_told():
    told = []
    choose([0.1, 0.3], after_epoch=lambda curve: told.append([row["valid_ndcg@10"] for row in curve]))
    refit(Scripted([3.0, 2.0]), 2, silent, after_epoch=lambda curve: told.append([row["loss"] for row in curve]))
    assert told == [[0.1], [0.1, 0.3], [3.0], [3.0, 2.0]]


def test_what_is_raised_after_an_epoch_ends_the_training():
    def enough(curve):
        if len(curve) == 2:
            raise StopAsyncIteration

    trainer = Scripted([1.0, 1.0, 1.0])
    with pytest.raises(StopAsyncIteration):
        refit(trainer, 3, silent, after_epoch=enough)
    assert trainer.epochs == 2


def test_a_selection_without_validation_has_no_curve():
    assert Selection(7).curve == []


def test_the_same_seed_gives_the_same_draws():
    draws = []
    for seed in (3, 3, 4):
        seed_everything(seed)
        draws.append((tf.random.normal([2]).numpy().tolist(), np.random.random()))  # noqa: NPY002
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]


def test_weights_are_counted_as_scalars():
    assert count_weights([tf.zeros([3, 4]), tf.zeros([]), tf.zeros([0, 5])]) == pytest.approx(13)
