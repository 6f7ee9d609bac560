"""Does training against samples end where training against the whole catalogue ends?

Divergences are in nats; 50 items, 10 candidates (as many queries a batch for in-batch), see
`bakeoff.experiments.sampler_bias`. With the sign of the correction flipped, or without it, the same test
fails: that is what the second and third figures show.
"""

from functools import cache

import pytest

from bakeoff.experiments.sampler_bias import NUM_ITEMS, QUERIES, TabularWorld
from bakeoff.models.neural.proposals import all_targets, make_sampler
from bakeoff.models.neural.spec import NegativesParams

SAMPLERS = {
    "uniform": {"sampler": "uniform"},
    "popularity": {"sampler": "popularity"},
    "log-uniform": {"sampler": "log-uniform"},
    "in-batch": {"sampler": "in-batch"},
    "in-batch + uniform": {"sampler": "mixed"},
    "three of 5": {"sampler": "mixed", "num_sampled": 5, "mixture": ("uniform", "log-uniform", "popularity")},
    "popularity of 30": {"sampler": "popularity", "num_sampled": 30},
    "full": {"sampler": "full"},
}


def hard(count, temperature=1.0, corrected=True):
    return NegativesParams(
        selection="hard", num_selected=count, hard_temperature=temperature, logq_correction=corrected
    )


def top_k(count, corrected=True):
    return NegativesParams(selection="top-k", num_selected=count, logq_correction=corrected)


@cache
def world(sampler, num_positives=1, selection=None):
    """Its users and samplers are drawn at random; its figures are the same each time."""
    negatives = NegativesParams(**{"num_sampled": 10} | SAMPLERS[sampler])
    return TabularWorld(
        lambda events: make_sampler(events, NUM_ITEMS, negatives, all_targets, QUERIES),
        selection,
        num_positives,
    )


@cache
def gradient_figures(sampler, selection, num_positives):
    """Error and cosine of the expected gradient, with the project's correction."""
    return world(sampler, num_positives, selection).gradient_figures(repeats=40)


def kl_of_corrections(tried):
    """Of the project's, of none, and of the wrong sign; what goes wrong does so long before it converges."""
    return tried.kl_at_convergence(), tried.kl_at_convergence(0, steps=60), tried.kl_at_convergence(-1, steps=60)


@pytest.mark.parametrize("num_positives", [1, 5])
def test_the_full_softmax_ends_at_the_truth(num_positives):
    assert world("full", num_positives).kl_at_convergence() < 0.006


@pytest.mark.parametrize(
    ("sampler", "num_positives", "without"),
    [
        ("uniform", 5, 0.06),  # found: .0045 with, .083 without, .29 with the wrong sign
        ("popularity", 5, 0.15),  # .0015, .24, .53
        ("log-uniform", 5, 0.2),  # .0029, .34, .61
        ("in-batch", 5, 0.08),  # .0005, .11, .40
        ("in-batch + uniform", 5, 0.03),  # .0009, .051, .20
        ("three of 5", 5, 0.1),  # .0019, .15, .42
        ("popularity", 1, 0.2),  # .0036, .29, .93
        ("log-uniform", 1, 0.3),  # .0043, .41, 1.20
        ("in-batch", 1, 0.4),  # .0007, .48, 1.36
        ("in-batch + uniform", 1, 0.08),  # .0028, .11, .40
    ],
)
def test_every_sampler_needs_its_correction_and_its_sign(sampler, num_positives, without):
    tried = world(sampler, num_positives)
    corrected, uncorrected, flipped = kl_of_corrections(tried)
    assert corrected < 0.008
    assert uncorrected > without
    assert flipped > 1.6 * uncorrected


@pytest.mark.parametrize(
    ("pool", "num_positives"),
    [
        ("popularity of 30", 1),  # found: .0035 with, .18 without, .37 with the wrong sign
        ("in-batch + uniform", 5),  # .0016, .20, .43
    ],
)
def test_hard_negatives_end_at_the_truth_with_both_of_their_corrections(pool, num_positives):
    # Five of the pool for each query; the pool's own counts differ by item, so that a missing factor would show.
    tried = world(pool, num_positives, hard(5))
    corrected, uncorrected, flipped = kl_of_corrections(tried)
    assert corrected < 0.008
    assert uncorrected > 0.1
    assert flipped > 1.6 * uncorrected


@pytest.mark.parametrize("temperature", [0.7, 2.0])
def test_hard_negatives_end_at_the_truth_at_every_temperature(temperature):
    # Away from 1 the estimate of the partition function scatters, and its logarithm is biased by that; found: .0024
    # and .0026 with 20 draws.
    assert world("popularity of 30", 5, hard(20, temperature)).kl_at_convergence() < 0.008


def test_hard_negative_mining_does_not_end_at_the_truth():
    # found: .26
    assert world("in-batch + uniform", 5, hard(5, corrected=False)).kl_at_convergence(steps=60) > 0.1


@pytest.mark.parametrize("corrected", [True, False])
def test_top_k_mining_does_not_end_at_the_truth_with_any_correction(corrected):
    # found: .40 where the pool's counts are kept, .45 where they are not
    assert world("in-batch + uniform", 5, top_k(5, corrected)).kl_at_convergence(steps=60) > 0.2


def test_uniform_candidates_with_one_positive_are_biased_when_few_and_not_when_many():
    # The partition function is estimated without bias, its logarithm is not: E[log Z] < log Z, the more so the more
    # the estimate scatters. Uniform candidates miss the few items that carry Z: .12 with 10 of 50, .005 with 30.
    few = world("uniform").kl_at_convergence()
    many = TabularWorld(
        lambda events: make_sampler(
            events, NUM_ITEMS, NegativesParams(sampler="uniform", num_sampled=30), all_targets, QUERIES
        )
    ).kl_at_convergence()
    assert many < 0.009 < few < 0.2


GRADIENTS = [
    (name, selection, number)
    for name, selection in [
        ("uniform", None),
        ("popularity", None),
        ("log-uniform", None),
        ("in-batch", None),
        ("in-batch + uniform", None),
        ("three of 5", None),
        ("popularity of 30", hard(5)),
    ]
    for number in (1, 5)
]


@pytest.mark.parametrize(("sampler", "selection", "num_positives"), GRADIENTS)
def test_the_expected_gradient_points_where_that_of_the_full_softmax_does(sampler, selection, num_positives):
    # found: errors of .03 to .24, cosines of .985 to .9996
    error, cosine = gradient_figures(sampler, selection, num_positives)
    assert error < 0.3
    assert cosine > 0.97


# Not uniform candidates with one positive: theirs is the same correction for all, which moves that gradient little in
# either direction; the divergence above, of several positives, is what tells its sign.
@pytest.mark.parametrize(("sampler", "selection", "num_positives"), GRADIENTS[1:])
def test_with_the_wrong_sign_the_expected_gradient_points_elsewhere(sampler, selection, num_positives):
    error, cosine = gradient_figures(sampler, selection, num_positives)
    wrong_error, wrong_cosine = world(sampler, num_positives, selection).gradient_figures(-1, repeats=40)
    assert wrong_error > 1.8 * error
    assert wrong_cosine < cosine


def test_the_gradient_of_top_k_mining_is_not_that_of_the_full_softmax():
    # It has nothing of the 40 items below the cut; found: an error of .78.
    error, _ = world("full", 5, top_k(10)).gradient_figures(repeats=20)
    assert error > 0.5
