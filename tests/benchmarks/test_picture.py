"""The picture of all tables."""

import json
import re
from pathlib import Path

import bench
import tiny_bench as tiny
from harness.measuring import Measured
from harness.picture import COLORS, SHAPES, WHOSE, picture
from harness.systems import System
from harness.tables import results_of

BEST = tiny.measured("mf", [0.5, 0.7], title="bakeoff MF")
WORST = tiny.measured("als", [0.1, 0.2], title="implicit ALS")


def page(*measured):
    return results_of(tiny.BENCHMARK, tiny.split(Path()).facts, measured, "make bench", 2, 1, 100)


def test_each_system_with_a_result_is_a_point_and_the_best_stands_first():
    failed = Measured(System("broken", "Broken", "fake_peer"), note="failed")
    drawn = picture([page(WORST, failed, BEST)])
    texts = re.findall(r">([^<>]+)</text>", drawn)
    assert [text for text in texts if text in ("MF", "implicit ALS", "Broken")] == ["MF", "implicit ALS"]


def test_the_colour_says_whose_it_is_and_the_shape_what_it_reads():
    drawn = picture([page(BEST, WORST)])
    ours, theirs = re.findall(r'aria-label="(mean: [^"]*)"', drawn)
    assert "system: MF" in ours
    assert WHOSE["mf"] in ours
    assert WHOSE[""] in theirs
    assert {COLORS[WHOSE["mf"]], COLORS[WHOSE[""]]} <= set(re.findall("#[0-9a-f]{6}", drawn))
    assert all(reads in drawn for reads in SHAPES)


def test_pages_made_again_come_with_the_picture_of_all(tmp_path):
    for name in ("gowalla", "ml-100k"):
        (tmp_path / f"{name}.json").write_text(json.dumps(page(BEST) | {"title": f"Table of {name}"}))
    assert bench.write_pages(tmp_path) == 0
    drawn = (tmp_path / bench.PICTURE).read_text()
    assert drawn.index("Table of ml-100k") < drawn.index("Table of gowalla")
