"""Memory that was freed is not asked for anew, and cleared page by page, at every step of a training."""

import platform
import resource

import pytest

from bakeoff.models.base.tensorflow import tf

VALUES = 16 * 2**20
PAGES = VALUES * 4 // resource.getpagesize()


def faults(times):
    """Page faults of making an array so many times; NumPy's would be of larger pages."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        tf.ones([VALUES])
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_an_array_that_comes_again_and_again_has_its_pages_cleared_once():
    faults(2)
    assert faults(10) < PAGES
