"""What `bakeoff online` shows where the truth is known: made people, asked by the code that serves and judges.

People read a list from the top and click on each item with a known probability, which falls with its place; those of
one kind want other items than those of the other. The truth is worked out from every list that the coins can give.

    python benchmarks/online.py
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from bakeoff.core.files import write_json, write_text
from bakeoff.ops.online.experiment import CHALLENGER, NO_TEAM, Value, ips, snips, team_draft, win_rate_interval

RUNS, LISTS, PEOPLE = 1_000, 5_000, 50
"""Of interleaved lists, and how many people they are shown to."""
SAMPLED_LISTS, EXPLORE = 1_000, 0.2
K, LEVEL = 4, 0.95
RESULTS = Path(__file__).parent / "results/online.json"
DECAY = 1 / np.log2(np.arange(K) + 2)
"""Of the probability of a click, by place."""
CHANCES = (
    {"a": 0.4, "b": 0.4, "c": 0.25, "d": 0.25, "e": 0.1, "f": 0.1},
    {"a": 0.1, "b": 0.1, "c": 0.4, "d": 0.4, "e": 0.2, "f": 0.2},
)
"""Of a click on an item at the first place, for each kind of people."""
CHAMPION = ("acbdef", "cadbef")
"""Ranking for each kind."""
CHALLENGERS = {
    "as good": ("bdacfe", "dbcafe"),
    "a little worse": ("fabdce", "dcaebf"),
    "worse": ("ebfadc", "ebdfac"),
    "better": ("abcdef", "cdefab"),
}
"""Of the same items; `as good` changes items for others with the same chance."""
ESTIMATES: Mapping[str, Callable[..., Value]] = {"IPS": lambda gain, *_: ips(gain), "SNIPS": snips}


class Coins:
    """Tosses these coins, as `random.Random` would."""

    def __init__(self, tosses: Sequence[int]) -> None:
        self._tosses = iter(tosses)

    def random(self) -> float:
        """0 or 1."""
        return float(next(self._tosses))


def outcomes(champion: str, challenger: str, chances: Mapping[str, float]) -> tuple[float, float]:
    """Probabilities that the challenger and the champion win a list, over every toss of the coins."""
    won = [0.0, 0.0]
    for tosses in np.ndindex(*[2] * K):
        draft, unread = team_draft(champion, challenger, K, Coins(tosses)), 1.0  # type: ignore[arg-type]
        for item, team, decay in zip(draft.items, draft.teams, DECAY, strict=True):
            if team != NO_TEAM:  # a click on what belongs to nobody decides nothing
                won[team != CHALLENGER] += unread * chances[item] * decay / 2**K
                unread *= 1 - chances[item] * decay
    return won[0], won[1]


def interleaved(challenger: Sequence[str], rng: np.random.Generator) -> dict[str, float]:
    """Coverage of the sequential interval at every look, and when it shows that the challenger is worse or better."""
    wins, losses = np.array([outcomes(*each) for each in zip(CHAMPION, challenger, CHANCES, strict=True)]).T
    covered, widths = list[bool](), list[float]()
    stops: dict[str, list[int]] = {"worse": [], "better": []}
    for _ in range(RUNS):
        kinds = rng.integers(2, size=PEOPLE)[rng.integers(PEOPLE, size=LISTS)]
        drawn = rng.random(LISTS)
        won = drawn < wins[kinds]
        decided = np.cumsum(won | (drawn >= 1 - losses[kinds]))
        low, high = win_rate_interval(won.cumsum(), decided, LEVEL)
        rates = np.where(np.diff(decided, prepend=0), (wins / (wins + losses))[kinds], 0)
        truth = rates.cumsum() / np.maximum(decided, 1)
        covered.append(bool((((low <= truth) & (truth <= high)) | (decided == 0)).all()))
        widths.append(float(high[-1] - low[-1]))
        for name, shown in (("worse", high < 0.5), ("better", low > 0.5)):
            stops[name].append(int(shown.argmax()) + 1 if shown.any() else LISTS + 1)
    found = {"win_rate": float(wins.sum() / (wins + losses).sum()), "decided": float((wins + losses).mean())}
    found |= {"covered": float(np.mean(covered)), "width": float(np.mean(widths))}
    for name, lists in stops.items():
        median, late = np.quantile(lists, (0.5, 0.9), method="higher")
        found |= {
            f"shown_{name}": float(np.mean(np.array(lists) <= LISTS)),
            f"{name}_median": float(median),
            f"{name}_late": float(late),
        }
    return found


def sampled(challenger: Sequence[str], seed: int) -> Iterator[dict[str, Any]]:
    """Bias and coverage of both estimates, for the champion, the challenger and their difference."""
    rng, draws, people = np.random.default_rng(seed), Random(seed), np.arange(SAMPLED_LISTS)  # noqa: S311 - no secret
    sides, length = (CHAMPION, challenger), np.full(SAMPLED_LISTS, float(K))
    first, second = (float(np.mean([*map(value, side, CHANCES)])) for side in sides)
    truth = {"champion": first, "challenger": second, "difference": second - first}
    found: dict[tuple[str, str], list[tuple[float, bool]]] = {(side, name): [] for side in truth for name in ESTIMATES}
    for _ in range(RUNS):
        gains, weights = np.zeros((2, 2, SAMPLED_LISTS))
        clicks = rng.random((SAMPLED_LISTS, K))
        for row, kind in enumerate(rng.integers(2, size=SAMPLED_LISTS).tolist()):
            draft = team_draft(CHAMPION[kind], challenger[kind], K, draws, EXPLORE)
            for place, (item, propensity) in enumerate(zip(draft.items, draft.propensities, strict=True)):
                is_clicked = clicks[row, place] < CHANCES[kind][item] * DECAY[place]
                for number, rankings in enumerate(sides):
                    if rankings[kind][place] == item:
                        weights[number, row] += 1 / propensity
                        gains[number, row] += is_clicked / propensity
        for name, estimate in ESTIMATES.items():
            one, other = (estimate(gain, weight, length) for gain, weight in zip(gains, weights, strict=True))
            for side, figure in zip(truth, (one, other, other.minus(one)), strict=True):
                low, high = figure.interval(people, LEVEL)
                found[side, name].append((figure.estimate - truth[side], low <= truth[side] <= high))
    for (side, name), runs in found.items():
        errors, covered = np.array(runs).T
        spread, figures = float(errors.std()), {"truth": truth[side], "bias": float(errors.mean())}
        more = {"bias_error": spread / RUNS**0.5, "spread": spread, "covered": float(covered.mean())}
        yield {"of": side, "estimate": name} | figures | more


def value(ranking: str, chances: Mapping[str, float]) -> float:
    """Clicks per list of one model."""
    return float(sum(chances[item] * decay for item, decay in zip(ranking, DECAY, strict=False)))


def markdown(page: Mapping[str, Any]) -> str:
    """The page, made from its JSON."""
    head = ("challenger", "wins, true", "decided", "covered", "width", "shown worse", "after", "shown better", "after")
    rows = []
    for name, row in page["interleaved"].items():
        cells = [name, *(f"{100 * row[key]:.1f} %" for key in ("win_rate", "decided", "covered", "width"))]
        for side in ("worse", "better"):
            lists = [row[f"{side}_{key}"] for key in ("median", "late")]
            cells += [f"{100 * row[f'shown_{side}']:.1f} %"]
            cells += [", ".join(f"{each:,.0f}" if each <= LISTS else "–" for each in lists)]
        rows.append(cells)
    estimates = [
        (
            *(row["of"], row["estimate"], f"{row['truth']:.3f}", f"{row['bias']:+.4f} ± {row['bias_error']:.4f}"),
            *(f"{row['spread']:.3f}", f"{100 * row['covered']:.1f} %"),
        )
        for row in page["sampled"]
    ]
    parts = [
        "# Online figures where the truth is known",
        f"Made by `python benchmarks/online.py`, {RUNS:,} runs of each row. People of two kinds click on items with "
        "known probabilities, which fall with the place. Drafts, samples and intervals are those of `bakeoff serve` "
        "and `bakeoff online`.",
        "## Interleaving",
        f"{LISTS:,} lists of {K} items, shown to {PEOPLE} people. *Wins*: share of the decided lists that the "
        "challenger wins, the truth. *Covered*: runs in which the 95 % interval held the truth after every single "
        "list; the truth is the mean, over the decided lists so far, of the probability of a win. *Width*: of the "
        "interval in the end. *Shown worse, better*: runs in which the whole interval came to lie below or above one "
        "half, and *after* how many lists: the median and the 90th percentile of the runs.",
        table(head, rows),
        "## Sampled lists",
        f"{SAMPLED_LISTS:,} lists a run, interleaved with the challenger that is better, {100 * EXPLORE:.0f} % of them "
        "drawn at random. *Truth*: clicks per list if all lists were those of one model. *Bias*: mean error of the "
        "estimates, and its standard error. *Spread*: their standard deviation. *Covers*: runs whose interval holds "
        "the truth.",
        table(("of", "estimate", "truth", "bias", "spread", "covers"), estimates),
    ]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown, with numbers on the right."""
    rule = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def main() -> None:
    """Measure, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, default=RESULTS)
    path = parser.parse_args().write
    rng = np.random.default_rng(0)
    found = {name: interleaved(challenger, rng) for name, challenger in CHALLENGERS.items()}
    write_json(path, {"interleaved": found, "sampled": [*sampled(CHALLENGERS["better"], 0)]})
    page = markdown(json.loads(path.read_text(encoding="utf-8")))
    write_text(path.with_suffix(".md"), page)
    print(page)


if __name__ == "__main__":
    main()
