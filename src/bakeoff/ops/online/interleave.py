"""Lists of two models in one (team draft), lists drawn at random, and the probability of each item at its place.

Where both models would place the same item next, it belongs to no team, since the list is the same either way. So the
items of each round are fixed, only their order is drawn, and the probabilities are exact.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

NO_TEAM, CHAMPION, CHALLENGER = 0, 1, 2


class Draft(NamedTuple):
    """A list of k items.

    Attributes:
        items: k ids.
        teams: k numbers: whose pick each item is; NO_TEAM: of both or of none.
        propensities: k probabilities that the item is shown at its place.
    """

    items: list[str]
    teams: list[int]
    propensities: list[float]


def team_draft(champion: Sequence[str], challenger: Sequence[str], k: int, rng: Random, explore: float = 0.0) -> Draft:
    """Interleave two rankings: in each round a coin says who picks first, and both pick their best item that is left.

    Radlinski, Kurup & Joachims, How does clickthrough data reflect retrieval quality? (CIKM 2008), section 5.2. With
    probability `explore` the list is drawn at random from the items of both rankings instead, without teams.

    Args:
        champion: ids, best first.
        challenger: likewise; the same ranking for the list of one model.
        k: length of the list, which is shorter where both rankings have fewer items together.
        rng: tosses the coins.
        explore: share of the lists that are drawn at random.
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
    pool = [*dict.fromkeys([*champion, *challenger])]
    if explore and rng.random() < explore:
        items, teams = rng.sample(pool, len(items)), [NO_TEAM] * len(items)
    of_slots = (slot.get(item, 0.0) for item, slot in zip(items, slots, strict=True))
    return Draft(items, teams, [(1 - explore) * chance + explore / len(pool) for chance in of_slots])
