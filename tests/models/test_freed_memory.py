"""Memory that was freed is not asked for anew, and cleared page by page, at every step of a training."""

import platform
import resource

import numpy as np
import pytest

import bakeoff.models.tensorflow  # noqa: F401 - what is tested is a setting of the process that uses it

VALUES = 8 * 2**20
PAGES = VALUES * 8 // resource.getpagesize()


def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        np.ones(VALUES)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_an_array_that_comes_again_and_again_has_its_pages_cleared_once():
    faults(1)
    assert faults(10) < PAGES
