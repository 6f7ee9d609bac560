"""The data sets that `bakeoff fetch` knows: where they come from, and what their tables must be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bakeoff.data.fetch import movielens
from bakeoff.data.fetch.mirror import Wheel
from bakeoff.data.fetch.tables import About, Tables

PUBLISHER = "https://files.grouplens.org/datasets/movielens"
"""Where the archives lie, unless BAKEOFF_MOVIELENS_URL names a copy of that folder."""

Parse = Callable[[Mapping[str, bytes]], Tables]


@dataclass(frozen=True)
class Mirror:
    """The same data inside a Python package."""

    wheel: Wheel
    members: tuple[str, ...]
    parse: Parse


@dataclass(frozen=True)
class Dataset:
    """A data set with a publisher."""

    about: About
    archive: str
    """Name of the zip below the publisher's address."""
    md5: str
    """Of the zip, as the publisher states it."""
    members: tuple[str, ...]
    parse: Parse
    mirror: Mirror | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Of each canonical table, whatever source it came from."""


_TERMS = (
    "For research. You may not state or imply any endorsement by the University of Minnesota or the "
    "GroupLens Research Group, must acknowledge the use of the data set in publications, may not "
    "redistribute the data without separate permission, and may not use it for any commercial or "
    "revenue-bearing purpose without permission from a faculty member of the GroupLens Research Project. No "
    "guarantee of correctness or suitability."
)
_CITATION = (
    "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. ACM "
    "Transactions on Interactive Intelligent Systems 5, 4, Article 19. https://doi.org/10.1145/2827872"
)

ML_100K = Dataset(
    about=About(
        name="ml-100k",
        title="MovieLens 100K",
        terms=_TERMS,
        citation=_CITATION,
        url="https://grouplens.org/datasets/movielens/100k/",
    ),
    archive="ml-100k.zip",
    md5="0e33842e24a9c977be4e0107933c0723",
    members=("ml-100k/u.data", "ml-100k/u.user", "ml-100k/u.item"),
    parse=movielens.from_publisher_100k,
    mirror=Mirror(
        wheel=Wheel("recbole==1.2.1", "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"),
        members=tuple(f"recbole/dataset_example/ml-100k/ml-100k.{table}" for table in ("inter", "user", "item")),
        parse=movielens.from_mirror_100k,
    ),
    sha256={
        "interactions": "a07bc1e86832d0964fa1b233ab20905bd81bd28b50190a7898557324fd5fb696",
        "users": "f0666955a899ab27004d413eec2d92e393f5050879597e126ede637390e5a238",
        "items": "8f12baf86ea14a796067e2a1725e9220d5950e67dcc6f6f4fd5afd22a70c0b05",
    },
)

ML_1M = Dataset(
    about=About(
        name="ml-1m",
        title="MovieLens 1M",
        terms=_TERMS,
        citation=_CITATION,
        url="https://grouplens.org/datasets/movielens/1m/",
    ),
    archive="ml-1m.zip",
    md5="c4d9eecfca2ab87c1945afe126590906",
    members=("ml-1m/ratings.dat", "ml-1m/users.dat", "ml-1m/movies.dat"),
    parse=movielens.from_publisher_1m,
    sha256={
        "interactions": "341082d61f3f4658bd836831b16d657fe98ef071180b59ffc5b689de0abe632c",
        "users": "e2ec7b219cd267c5d680930cb290cc8c0e584307641bfce0ccec934c4947d88c",
        "items": "82437240a2e1de5e758497c8eae635e5e722d0d12a8633401e3fbccfb84faccc",
    },
)

BUILT_IN: Mapping[str, Dataset] = {dataset.about.name: dataset for dataset in (ML_100K, ML_1M)}
"""By the name that `data.dataset` in params.yaml gives."""
