"""The simulation of online figures: its truth by hand, and the page that its figures make."""

import json

import numpy as np
import online
import pytest


def test_the_truth_is_that_of_every_toss():
    # The coin puts a before b or b before a. The first is clicked in half of the lists; the second, read in the other
    # half, with half its chance times the decay of the second place. c and d belong to nobody.
    chances = {"a": 0.5, "b": 0.5, "c": 0.9, "d": 0.9}
    won, lost = online.outcomes("abcd", "bacd", chances)
    assert won == pytest.approx(lost)
    assert won + lost == pytest.approx(0.5 + 0.5 * 0.5 * online.DECAY[1])
    assert online.outcomes("abcd", "abcd", chances) == (0, 0)


def test_a_small_run_has_every_figure_of_the_page(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(online, "RUNS", 4)
    monkeypatch.setattr(online, "LISTS", 300)
    monkeypatch.setattr(online, "SAMPLED_LISTS", 100)
    monkeypatch.setattr("sys.argv", ["online.py", "--write", str(tmp_path / "online.json")])
    online.main()
    assert (tmp_path / "online.md").read_text() == capsys.readouterr().out.rstrip("\n") + "\n"


def test_the_figures_of_the_page_keep_what_docs_promise():
    page = json.loads(online.RESULTS.read_text())
    assert online.RESULTS.with_suffix(".md").read_text() == online.markdown(page)
    assert min(row["covered"] for row in page["interleaved"].values()) >= 0.93
    assert page["interleaved"]["a little worse"]["shown_worse"] == 1
    assert max(abs(row["bias"]) / row["bias_error"] for row in page["sampled"]) < 3
    assert np.all([row["covered"] > 0.92 for row in page["sampled"]])
