"""What a split must be, in plain Python, and inputs to try it on."""

from fractions import Fraction
from hashlib import md5

from hypothesis import settings
from hypothesis import strategies as st

METHODS = ["user-temporal", "global-temporal", "leave-last-out", "random", "predefined"]
SHARES = ["0.0", "0.05", "0.1", "0.2", "0.29", "0.3", "0.45"]

users = st.sampled_from(["1", "02", "10", "Zoë", "a|b", " "])
items = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=3)
# Few different times, so that most of them are shared.
places = st.tuples(st.integers(1, 4), st.sampled_from(["train", "valid", "test"]))
events = st.dictionaries(st.tuples(users, items), places, min_size=1, max_size=60).map(
    lambda pairs: [(*pair, *place) for pair, place in pairs.items()]
)
"""Rows (user, item, timestamp, predefined part), one per user and item."""
repeated_events = st.sets(
    st.tuples(users, st.sampled_from(["x", "Ÿ"]), st.integers(1, 12)), min_size=1, max_size=60
).map(sorted)
"""Rows (user, item, timestamp), several times of most pairs."""
FEW = settings(max_examples=10, deadline=None)
"""Each example is a query to an engine."""


def digest(text: str) -> str:
    return md5(text.encode()).hexdigest()


def in_time_order(rows, seed):
    """Every user's items, in the promised order, by nothing but Python's own md5."""
    histories = {}
    for user, item, time, *_ in sorted(rows, key=lambda r: (r[2], digest(f"{seed}|{r[0]}|{r[1]}"), r[1])):
        histories.setdefault(user, []).append((item, time))
    return histories


def part_of(place, count, test_share, valid_share):
    num_test, num_valid = int(count * Fraction(test_share)), int(count * Fraction(valid_share))
    return "test" if place >= count - num_test else "valid" if place >= count - num_test - num_valid else "train"
