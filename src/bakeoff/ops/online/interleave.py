"""Lists of two models in one (team draft), lists sampled at random, and the probability of each item at its place.

Where both models would place the same item next, it belongs to no team: whoever picks it, the list is the same. So the
items of each round are fixed, only their order is drawn, and the probabilities are exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

NO_TEAM, CHAMPION, CHALLENGER = 0, 1, 2


@dataclass(frozen=True)
class Draft:
    """A list of k items.

    Attributes:
        items: k ids.
        teams: k numbers: whose pick each item is; NO_TEAM: of both or of none.
        slots: for each place the probability of each item there.
    """

    items: Sequence[str]
    teams: Sequence[int]
    slots: Sequence[Mapping[str, float]]


def plain(items: Sequence[str]) -> Draft:
    """The list of one model."""
    return Draft(items, [NO_TEAM] * len(items), [{item: 1.0} for item in items])


def team_draft(champion: Sequence[str], challenger: Sequence[str], k: int, rng: Random) -> Draft:
    """Interleave two rankings: in each round a coin says who picks first, and both pick their best item that is left.

    Radlinski, Kurup & Joachims, How does clickthrough data reflect retrieval quality? (CIKM 2008), section 5.2.

    Args:
        champion: ids, best first.
        challenger: likewise.
        k: length of the list, which is shorter where both rankings have fewer items together.
        rng: tosses the coins.
    """
    items, teams, slots, used = list[str](), list[int](), list[Mapping[str, float]](), set[str]()
    rankings = iter(champion), iter(challenger)
    while len(items) < k:
        first, second = (next((item for item in ranking if item not in used), None) for ranking in rankings)
        picks = [(item, team) for item, team in ((first, CHAMPION), (second, CHALLENGER)) if item is not None]
        if not picks:
            break
        if first == second or len(picks) == 1:
            picks = [(picks[0][0], NO_TEAM)]
        elif rng.random() < 0.5:
            picks.reverse()
        chances = {item: 1 / len(picks) for item, _ in picks}
        for item, team in picks[: k - len(items)]:
            items.append(item)
            teams.append(team)
            slots.append(chances)
        used |= chances.keys()
    return Draft(items, teams, slots)


def explored(draft: Draft, pool: Sequence[str], share: float, rng: Random) -> tuple[Draft, list[float]]:
    """With probability `share`, items of the pool in random order instead; and the propensities of what is shown.

    The propensity of an item at its place is (1 − share) times its probability in the draft, plus share / |pool|.

    Args:
        draft: what is shown else.
        pool: at least as many ids as the list has, all of the list among them.
        share: in [0, 1].
        rng: draws.
    """
    shown = draft
    if share and rng.random() < share:
        shown = Draft(rng.sample(pool, len(draft.items)), [NO_TEAM] * len(draft.items), draft.slots)
    rest = share / len(pool) if pool else 0.0
    pairs = zip(shown.items, shown.slots, strict=True)
    return shown, [(1 - share) * slot.get(item, 0.0) + rest for item, slot in pairs]
