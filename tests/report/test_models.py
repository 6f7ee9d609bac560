"""Six models on one chart: tellable apart by shape, and by colour for every kind of eye."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from bakeoff.models.base import specs
from bakeoff.report.models import CONTENDERS, look, stylesheet

LOOKS = specs.specs()
PAGES = {"light": ("#faf9f6", "#ffffff"), "dark": ("#161513", "#1f1e1b")}
# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
EYES = {
    "normal": np.eye(3),
    "protanopia": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    "deuteranopia": np.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
    "tritanopia": np.array([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
}
XYZ = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])


def linear(color: str) -> np.ndarray:
    channels = np.array([int(color[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2: (lighter + 0.05) / (darker + 0.05) of the relative luminances."""
    dark, bright = sorted(float(XYZ[1] @ linear(color)) for color in (one, other))
    return (bright + 0.05) / (dark + 0.05)


def lab(color: str, eye: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of the colour as this eye sees it."""
    ratio = XYZ @ np.clip(eye @ linear(color), 0, 1) / np.array([0.9505, 1.0, 1.0888])
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("shade", PAGES)
@pytest.mark.parametrize("name", LOOKS)
def test_a_mark_stands_out_from_the_page(name: str, shade: str):
    needed = 4.5 if name in CONTENDERS else 3.0  # contenders' colours are used for text, too
    assert min(contrast(getattr(look(name), shade), page) for page in PAGES[shade]) >= needed


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("shade", PAGES)
def test_no_two_models_have_colours_that_look_alike(shade: str, eye: str):
    seen = {name: lab(getattr(found, shade), EYES[eye]) for name, found in LOOKS.items()}
    for one, other in combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) >= 10, (one, other)


def test_no_two_models_have_the_same_shape_or_label():
    assert len({found.shape for found in LOOKS.values()}) == len(LOOKS)
    assert len({found.label for found in LOOKS.values()}) == len(LOOKS)


def test_contenders_are_drawn_larger_than_all_others():
    others = [found for name, found in LOOKS.items() if name not in CONTENDERS]
    for name in CONTENDERS:
        assert look(name).size > max(found.size for found in others)
        assert look(name).width > max(found.width for found in others)


def test_a_model_that_is_not_known_is_shown_under_its_own_name():
    assert look("item2vec").label == "item2vec"
    assert "--item2vec: " in stylesheet(["item2vec"])


@pytest.mark.parametrize(
    ("name", "settings", "blind"),
    [
        ("recent_popularity", {}, True),
        ("ease", {"recency_scale": None}, True),
        ("ease", {"recency_scale": 6.0}, False),
        ("mf", {"recency_scale": None}, True),
        ("mf", {"recency_scale": 6.0}, False),
        ("softmax", {"recency_scales": [1.0, 4.0]}, False),
        ("softmax", {"recency_scales": []}, True),
    ],
)
def test_a_model_is_order_blind_unless_it_weighs_the_latest_items(name: str, settings: dict[str, Any], blind: bool):
    assert look(name).is_order_blind(settings) is blind
