import numpy as np
import pytest
from small import histories

from bakeoff.models.neural.proposals import (
    InBatchSampler,
    MixedSampler,
    catalogue_sampler,
    log_uniform_sampler,
    make_sampler,
    popularity_sampler,
    uniform_sampler,
)
from bakeoff.models.neural.spec import NegativesParams

NUM_ITEMS = 6
EVENTS = histories([[0, 1, 2], [2, 1, 0], [0, 2], [0, 3]])
FREQUENCIES = np.array([4, 2, 3, 1, 0, 0])


def chances(events):
    return np.linspace(0.1, 1, len(events.items))


def made(**values):
    return make_sampler(EVENTS, NUM_ITEMS, NegativesParams(num_sampled=4, **values), chances, users_per_batch=3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("uniform", uniform_sampler(NUM_ITEMS, 4)),
        ("popularity", popularity_sampler(FREQUENCIES, 4, 0.5)),
        ("log-uniform", log_uniform_sampler(FREQUENCIES, 4)),
        ("in-batch", InBatchSampler(chances, EVENTS, 3, NUM_ITEMS)),
        ("full", catalogue_sampler(NUM_ITEMS)),
    ],
)
def test_the_settings_name_the_sampler(name, expected):
    sampler = made(sampler=name, popularity_exponent=0.5)
    assert type(sampler) is type(expected)
    assert sampler.inclusion.tolist() == expected.inclusion.tolist()
    targets = np.array([1, 3, 3], np.int32)
    drawn, wanted = (each.draw(targets, np.random.default_rng(0)).ids.tolist() for each in (sampler, expected))
    assert drawn == wanted


def test_a_mixture_is_made_of_the_parts_that_the_settings_name():
    sampler = made(sampler="mixed", mixture=("in-batch", "log-uniform"))
    parts = [made(sampler=name).inclusion for name in ("in-batch", "log-uniform")]
    assert isinstance(sampler, MixedSampler)
    assert sampler.inclusion == pytest.approx(1 - (1 - parts[0]) * (1 - parts[1]))
