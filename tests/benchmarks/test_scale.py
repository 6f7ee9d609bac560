"""The pipeline at sizes that grow: the data, the stages, what is measured, what is made of it."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from waiting import until

ROOT = Path(__file__).parents[2]
DAG = """
stages:
  last:
    cmd: python step.py last
    deps: [out/middle/x]
  middle:
    foreach: [x, y]
    do:
      cmd: python step.py ${item}
      deps: [out/first]
      outs:
        - out/middle/${item}:
            cache: false
  first:
    cmd: python step.py first
    outs: [out/first]
"""
# The stage x waits for a file `go`, and ends by itself where that never comes.
STEP = """
import os, sys, time
from pathlib import Path
name = sys.argv[1]
with open("ran.txt", "a") as ran:
    ran.write(f"{name} {os.getpid()}\\n")
end = time.monotonic() + 60
while name == "x" and not Path("go").exists() and time.monotonic() < end:
    time.sleep(0.02)
"""
DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, {benchmarks!r})
import scale
from scaling.data import size_of
from scaling.measuring import Limits
folder = Path({folder!r})
sources = scale.Sources(folder / "dvc.yaml")
limits = Limits(2**30, 60.0, 1)
scale.measure_size(size_of(200), sources, folder, limits, retry=False, again={again!r}, only={only!r})
"""


def runs(costs, **others):
    """Stage → Measured: `costs` are seconds, as many GiB of memory."""
    from scaling.measuring import Measured

    return {name: Measured(cost, cost, int(cost * 2**30)) for name, cost in costs.items()} | others


def sizes(*interactions):
    from scaling.data import Size

    return [Size(count, count // 40, count // 100) for count in interactions]


def test_a_data_set_has_as_many_events_as_asked_for_and_nobody_meets_an_item_twice():
    from scaling.data import make, size_of

    size = size_of(20_000)
    made = make(size, seed=1)
    assert len(made.users) == 20_000
    assert len(set(zip(made.users, made.items, strict=True))) == 20_000
    lengths = np.bincount(made.users, minlength=size.users)
    assert (lengths.min() >= 10, lengths.max() <= 160, lengths.mean()) == (True, True, 40)
    assert (np.diff(made.timestamps) >= 0).all()


def test_most_events_lie_within_the_group_and_the_popular_items_gather_them():
    from scaling.data import make, size_of

    made = make(size_of(100_000), seed=1)
    # 90 % of the draws are of the own group, and a quarter of the others by chance
    assert (made.user_groups[made.users] == made.item_groups[made.items]).mean() == pytest.approx(0.925, abs=0.05)
    counts = np.sort(np.bincount(made.items, minlength=1000))[::-1]
    assert counts[:100].sum() > counts[-500:].sum()


def test_the_same_seed_writes_the_same_bytes_and_another_one_others(tmp_path):
    from scaling.data import size_of, write_tables

    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / folder).mkdir()
        write_tables(tmp_path / folder, size_of(2_000), seed)
    one, same, other = ({file.name: file.read_bytes() for file in (tmp_path / f).iterdir()} for f in "abc")
    assert one == same
    assert one["interactions.csv"] != other["interactions.csv"]
    assert one["users.csv"].splitlines()[0] == b'"user_id","age","segment"'


def test_stages_come_after_those_whose_outputs_they_need(tmp_path):
    from scaling.pipeline import read_stages

    (tmp_path / "dvc.yaml").write_text(DAG)
    found = {stage.name: stage for stage in read_stages(tmp_path / "dvc.yaml")}
    assert list(found) == ["first", "middle@x", "last", "middle@y"]
    assert found["middle@y"].command == ("python", "step.py", "y")
    assert found["last"].after == ("middle@x",)
    stages = read_stages(ROOT / "dvc.yaml")
    place = {stage.name: number for number, stage in enumerate(stages)}
    assert all(place[before] < place[stage.name] for stage in stages for before in stage.after)
    assert stages[0].name == "validate"
    assert {"evaluate@mf", "train@mf"} <= set(place)


def test_a_stage_that_takes_too_much_is_ended_and_says_so(tmp_path):
    from scaling.measuring import Limits, run_stage
    from scaling.pipeline import Stage

    hungry = Stage("hungry", ("python", "-c", "import time; kept = bytearray(2**28); time.sleep(60)"), ())
    measured = run_stage(hungry, tmp_path, Limits(2**27, 60.0, 1))
    assert measured.failed
    assert measured.note == "ended: more than 0.125 GiB of memory"
    broken = Stage("broken", ("python", "-c", "raise SystemExit('no room')"), ())
    broken = run_stage(broken, tmp_path, Limits(2**30, 60, 1))
    assert broken.note == "failed with status 1: no room"


def test_of_several_runs_the_middle_one_counts_unless_the_last_has_failed():
    from scale import middle
    from scaling.measuring import Measured

    costs = [Measured(1, cpu, 1) for cpu in (9.0, 2.0, 4.0)]
    assert middle(costs) is costs[2]
    lost = Measured(1, 1, 1, "ended", failed=True)
    assert middle([*costs, lost]) is lost


def test_some_stages_run_once_more_in_each_round_and_none_that_has_failed(tmp_path, monkeypatch):
    import scale
    from scaling.data import size_of
    from scaling.measuring import Limits, Measured

    (tmp_path / "dvc.yaml").write_text(DAG)
    sources, ran = scale.Sources(tmp_path / "dvc.yaml"), []

    def run_stage(stage, *_):
        ran.append(stage.name)
        return Measured(1, len(ran), 1, failed=stage.name == "last")

    monkeypatch.setattr(scale, "run_stage", run_stage)
    monkeypatch.setattr(scale, "REPEATED", ("first", "last"))
    for rounds in (1, 2, 2, 3):
        found = scale.measure_size(size_of(200), sources, tmp_path, Limits(1, 1, 1), retry=False, rounds=rounds)
    assert ran == ["first", "middle@x", "last", "middle@y", "first", "first"]
    assert found["first"].cpu == 5  # of 1, 5 and 6
    assert found["last"].failed


def test_a_killed_run_ends_its_stage_and_goes_on_where_it_was(tmp_path):
    (tmp_path / "dvc.yaml").write_text(DAG)
    places = {"benchmarks": str(ROOT / "benchmarks"), "folder": str(tmp_path)}
    driver, first_again = (
        [sys.executable, "-c", DRIVER.format(**places, again=again, only=only)]
        for again, only in (([], None), (["last", "first"], ["first"]))
    )
    folder = tmp_path / "200"
    with subprocess.Popen(driver, stdout=subprocess.DEVNULL) as process:
        try:
            until(lambda: (folder / "params.yaml").exists())
            (folder / "step.py").write_text(STEP)
            until(lambda: "x" in _ran(folder))
        finally:
            process.send_signal(signal.SIGKILL)
    until(lambda: not psutil.pid_exists(_ran(folder)["x"]))
    (folder / "go").touch()
    again = subprocess.run(driver, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    subprocess.run(first_again, capture_output=True, check=True, timeout=120)  # what was measured, and its data, stay
    started = [line.split()[0] for line in (folder / "ran.txt").read_text().splitlines()]
    assert started == ["first", "x", "x", "last", "y", "first"]
    measured = json.loads((folder / "measured.json").read_text())["runs"]
    assert sorted(measured) == ["first", "middle@x", "middle@y"]  # the last is to be measured again
    assert not any(run["failed"] for runs in measured.values() for run in runs)


def _ran(folder):
    path = folder / "ran.txt"
    return {line.split()[0]: int(line.split()[1]) for line in path.read_text().splitlines()} if path.exists() else {}


def test_exponents_are_those_of_the_cost_above_start():
    from scaling.fits import growth, size_measure

    # 5 s of start, then a second for 10⁵ interactions: above start in proportion, as a whole far less
    of_split = {size: runs({"split": 5 + size.interactions / 1e5})["split"] for size in sizes(10**6, 10**7, 10**8)}
    smallest = runs({"split": 5})["split"]
    fitted = growth(of_split, smallest, lambda run: run.cpu, size_measure("split"))
    assert fitted.above.exponent == pytest.approx(1)
    assert fitted.whole.exponent < 0.95
    [further] = sizes(10**9)
    assert fitted.at(further, size_measure("split")) == pytest.approx(5 + 1e4)
    # ranking: in proportion to users × items, which grow with the square of interactions
    ranked = {size: runs({"r": size.pairs / 1e9})["r"] for size in sizes(10**6, 10**7, 10**8)}
    assert growth(ranked, None, lambda run: run.cpu, size_measure("evaluate@mf")).whole.exponent == pytest.approx(1)


def test_what_is_foretold_goes_on_as_steeply_as_the_largest_sizes_do():
    from scaling.fits import growth, size_measure

    costs = dict(zip(sizes(10**6, 10**7, 10**8), (2.0, 3.0, 30.0), strict=True))  # of the last ten times, ten times
    found = {size: runs({"split": 1 + cost})["split"] for size, cost in costs.items()}
    fitted = growth(found, runs({"split": 1})["split"], lambda run: run.cpu, size_measure("split"))
    assert fitted.told.exponent == pytest.approx(np.log10(15) / 2)
    [further] = sizes(10**9)
    assert fitted.at(further, size_measure("split")) == pytest.approx(301)
    # two sizes above the start have a slope, and no exponent: nothing steeper than proportion is made of it
    two = {size: runs({"split": 1 + cost})["split"] for size, cost in zip(sizes(10**7, 10**8), (3, 300), strict=True)}
    fitted = growth(two, runs({"split": 1})["split"], lambda run: run.cpu, size_measure("split"))
    assert fitted.told is None
    assert fitted.at(further, size_measure("split")) == pytest.approx(3001)


def test_what_failed_or_was_left_out_is_not_fitted():
    from scaling.fits import growth, size_measure
    from scaling.measuring import Measured

    found = {size: runs({"split": size.interactions / 1e5})["split"] for size in sizes(10**5, 10**6)}
    left, lost = Measured(1, 1, 1, "skipped: x"), Measured(1, 1, 1, "y", failed=True)
    found |= dict(zip(sizes(10**7, 10**8), (left, lost), strict=True))
    fitted = growth(found, None, lambda run: run.cpu, size_measure("split"))
    assert fitted.whole is None
    assert fitted.last == (sizes(10**6)[0], 10)


def test_the_page_says_what_was_measured_what_failed_and_where_it_would_end():
    from scaling.measuring import Limits, Measured
    from scaling.page import page
    from scaling.picture import picture

    left = Measured(1, 1, 2**20, "skipped: too | many items")
    lost = Measured(9, 9, 8 * 2**30, "ended: more than 8 GiB of memory", failed=True)
    measured = {
        size: runs(
            {"validate": size.interactions / 1e5, "evaluate@mf": size.pairs / 2.5e6, "compare": 1.0},
            **{"train@ease": left},
            **({"growth": lost} if size.interactions == 10**7 else {}),
        )
        for size in sizes(10**5, 10**6, 10**7)
    }
    text = page(measured, {}, Limits(8 * 2**30, 3600, 2), "make scale", "scale.svg")
    assert "| `validate` | 1.0 | 10 | 100 | 1.00 (1.00 to 1.00) | – | 100.00 |" in text
    assert "| `evaluate@mf` † | 1.0 | 100 | 10,000 | 1.00 (1.00 to 1.00) |" in text
    assert "| 10,000,000 | 100,000 | `growth` | failed | ended: more than 8 GiB of memory |" in text
    assert "too \\| many items" in text
    assert (
        "No stage's time has an exponent above 1.05 in interactions and 1 in users × items, of 3 that could be told."
        in text
    )
    # at 10⁹: 10⁴ s of validation; 10,000 s × 100 users × 10 items (the catalogue ends at 10⁶) of ranking, 2,778 h
    assert "| 1,000,000,000 | 25,000,000 × 1,000,000 | 2,781 |" in text
    drawn = picture(measured)
    assert drawn.startswith("<svg")
    assert "validate" in drawn


def test_stages_that_do_not_grow_are_told_from_those_that_too_few_sizes_tell_of():
    from scaling.measuring import Limits
    from scaling.page import page

    measured = {
        size: runs({"planted": 20 + n / 1e8, "validate": 5 + n / 1e6, "split": 5 + n / 1e4})
        for size in sizes(10**5, 10**6, 10**7)
        for n in [size.interactions]
    }
    text = page(
        measured,
        runs({"planted": 20, "validate": 5, "split": 5}),
        Limits(8 * 2**30, 3600, 2),
        "make scale",
        "scale.svg",
    )
    # split goes from 5 + 10 to 5 + 1,000 s over two powers of ten
    assert (
        "Of the whole time, start included: the largest exponent is 0.91 in interactions (`split`; meant: ≤ 1.05)"
        in text
    )
    assert "Above start: no stage's time has an exponent above 1.05" in text
    assert "At the largest size no more expensive than at the start, but for a quarter: `planted`." in text
    assert "At too few sizes to tell: `validate`." in text


def test_an_interval_that_reaches_beyond_the_bar_is_told():
    from scaling.measuring import Limits
    from scaling.page import page

    costs = dict(zip(sizes(10**5, 10**6, 10**7), (1.0, 20.0, 90.0), strict=True))
    measured = {size: runs({"split": cost}) for size, cost in costs.items()}
    text = page(measured, {}, Limits(8 * 2**30, 3600, 2), "make scale", "scale.svg")
    assert "The interval reaches beyond for `split` (to " in text


def test_catalogues_that_grow_alone_have_exponents_and_a_page_of_their_own():
    from scaling.catalogues import page
    from scaling.data import size_of
    from scaling.measuring import Limits, Measured

    found = {
        size_of(10**6, items): runs({"evaluate@mf": 1 + items / 1e3, "split": 2.0}) for items in (10**5, 10**4, 10**3)
    }
    for stage in ("train@ease", "evaluate@ease"):
        found[size_of(10**6, 10**5)][stage] = Measured(1, 1, 2**20, "skipped: too many items")
    text = page(found, runs({"evaluate@mf": 1, "split": 1}), Limits(8 * 2**30, 3600, 2), "make scale", "drawn.svg")
    assert "Made by `make scale`: 1,000,000 interactions of 25,000 users in planted groups, and items alone" in text
    assert "on logarithmic axes](drawn.svg)" in text
    row = "| `evaluate@mf` † | 2.0 | 11 | 101 | 1.00 (1.00 to 1.00) | 2.00 | 11.00 | 101.00 | 1.00 (1.00 to 1.00) |"
    assert row in text
    assert "| `split` | 2.0 | 2.0 | 2.0 | 0.00 (0.00 to 0.00) |" in text
    assert "| 1,000,000 | 100,000 | `train@ease`, `evaluate@ease` | skipped by itself | too many items |" in text


def test_either_series_can_be_left_out():
    import scale
    from scaling.plan import Plan, plan

    both, sizes, catalogues = (scale._arguments(options) for options in ([], ["--catalogues"], ["--sizes"]))
    asked, of_sizes, of_catalogues = map(plan, (both, sizes, catalogues))
    assert [size.items for size in asked.catalogues] == [1_000, 3_000, 100_000, 1_000_000]
    assert {size.users for size in asked.catalogues} == {7_500}
    assert [scale._name(size) for size in asked.catalogues[:2]] == ["300000-1000", "300000"]
    assert of_sizes == replace(asked, catalogues=())
    assert of_catalogues == Plan((), (), (), asked.catalogues)
    assert [scale._command(each) for each in (both, sizes, catalogues)] == [
        "make scale",
        'make scale SCALE="--catalogues"',
        'make scale SCALE="--sizes"',
    ]


def test_a_page_is_written_for_each_series_that_was_measured(monkeypatch, tmp_path, capsys):
    import scale

    cost = runs({"validate": 1.0})
    monkeypatch.setattr(scale, "measure_size", lambda size, *_: cost)
    monkeypatch.setattr(sys, "argv", ["scale", "--sizes", "--page", str(tmp_path / "scale.md")])
    assert scale.main() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"scale_catalogues.{kind}" for kind in ("json", "md", "svg")
    ]
    monkeypatch.setattr(sys, "argv", ["scale", "--catalogues", "--page", str(tmp_path / "scale.md")])
    assert scale.main() == 0
    names = {f"{stem}.{kind}" for stem in ("scale", "scale_catalogues") for kind in ("json", "md", "svg")}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert "(scale_catalogues.svg)" in (tmp_path / "scale_catalogues.md").read_text()
    for name, made in (("scale", scale.markdown), ("scale_catalogues", scale.markdown_of_catalogues)):
        figures = json.loads((tmp_path / f"{name}.json").read_text())
        assert (tmp_path / f"{name}.md").read_text() == made(figures)
    assert "scale_catalogues.md" in capsys.readouterr().out


def test_the_tables_alone_are_prepared_at_a_size_of_their_own(monkeypatch, tmp_path):
    import scale
    from scaling.plan import SMALLEST

    asked = []

    def measure(size, *others):
        only, rounds = others[-2:]
        asked.append((rounds, size.interactions, only))
        return runs({"validate": 1.0} if only else {"validate": 1.0, "train@mf": 2.0})

    monkeypatch.setattr(scale, "measure_size", measure)
    given = ["scale", "--sizes", "300000", "3000000", "--tables", "1000000", "--catalogues"]
    monkeypatch.setattr(sys, "argv", [*given, "--page", str(tmp_path / "scale.md")])
    assert scale.main() == 0
    alone = ("validate", "split")
    of_a_round = [(SMALLEST, None), (300_000, None), (1_000_000, alone), (3_000_000, None)]
    assert asked == [(number, *each) for number in (1, 2, 3) for each in of_a_round]
    text = (tmp_path / "scale.md").read_text()
    assert 'Made by `make scale SCALE="--sizes 300000 3000000 --tables 1000000 --catalogues"`' in text
    assert "| 1,000,000 | 25,000 | 10,000 | 1 of 2 |" in text
    assert "| `train@mf` | 2.0 | – | 2.0 |" in text
    assert scale._arguments([]).tables == scale.TABLES
    assert scale._arguments(["--sizes", "100000"]).tables == ()


def test_interactions_grow_alone_beside_the_sizes(monkeypatch, tmp_path):
    import scale
    from scaling.plan import STEADY_STAGES

    asked = []

    def measure(size, *others):
        only, rounds = others[-2:]
        asked.append((rounds, size.interactions, size.items, only))
        return runs(dict.fromkeys(only or [*STEADY_STAGES, "compare"], 3.0 + size.interactions / 1e6))

    monkeypatch.setattr(scale, "measure_size", measure)
    given = ["scale", "--sizes", "1000000", "--steady", "1000000", "2000000", "4000000", "--catalogues"]
    monkeypatch.setattr(sys, "argv", [*given, "--page", str(tmp_path / "scale.md")])
    assert scale.main() == 0
    few, many = ((2_000, 200, None), (2_000, 10_000, STEADY_STAGES))
    # of a million interactions the steady catalogue is the usual one, which all stages run on once
    larger = [(n, 10_000, STEADY_STAGES) for n in (2_000_000, 4_000_000)]
    assert asked == [(number, *each) for number in (1, 2, 3) for each in (few, many, (10**6, 10_000, None), *larger)]
    text = (tmp_path / "scale.md").read_text()
    assert scale.markdown(json.loads((tmp_path / "scale.json").read_text())) == text
    assert "it has 10,000 items at every size" in text
    assert "| `train@mf` | 4.0 | 5.0 | 7.0 | 0.40 (" in text
    assert text.rstrip().endswith("Above start, of 5 stages that could be told, none above 1.05.")
    assert scale._arguments(["--sizes", "100000"]).steady == ()


@pytest.mark.parametrize(("option", "words"), [("--catalogues=199", "199 items"), ("--sizes=100", "100 interactions")])
def test_a_size_that_cannot_be_made_is_refused(option, words, capsys):
    import scale

    with pytest.raises(SystemExit):
        scale._arguments([option])
    assert f"{words} are too few" in capsys.readouterr().err
