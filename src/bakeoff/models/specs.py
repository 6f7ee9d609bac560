"""All retrievers there are: those of this package and those that other packages register."""

from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import iter_modules

from bakeoff.core.errors import BakeoffError
from bakeoff.models.base.spec import ModelSpec

ENTRY_POINTS = "bakeoff.models"
"""Group of entry points by which an installed package adds models; each names a sequence of specs."""


@cache
def specs() -> dict[str, ModelSpec]:
    """Name → spec, ordered by rank and name.

    Specs are the `SPECS` of every `bakeoff/models/*/spec.py` and of the entry points of the group `bakeoff.models`.

    Raises:
        BakeoffError: two models have the same name, a name has other characters than letters, digits and _, or an entry
            point can't be loaded.
    """
    found: dict[str, ModelSpec] = {}
    for each in [*_built_in(), *_installed()]:
        if each.name in found:
            raise BakeoffError(f"Two models are called {each.name!r}: uninstall one of the packages that bring them.")
        if not each.name.isidentifier():
            raise BakeoffError(f"{each.name!r} can't name a model: use letters, digits and underscores.")
        found[each.name] = each
    return dict(sorted(found.items(), key=lambda item: (item[1].rank, item[0])))


def names() -> tuple[str, ...]:
    """Names of all models, in the order of `specs`."""
    return tuple(specs())


def contenders() -> tuple[str, ...]:
    """Names of the models that the verdict is about."""
    return tuple(name for name, each in specs().items() if each.role == "contender")


def spec(name: str) -> ModelSpec:
    """The spec of a model.

    Raises:
        BakeoffError: there is no such model; the message lists those that there are.
    """
    if name not in specs():
        raise BakeoffError(f"{name!r} is not a model: it must be one of {', '.join(specs())}.")
    return specs()[name]


def check_model(name: str) -> None:
    """Refuse what is not the name of a model.

    Raises:
        BakeoffError: see `spec`.
    """
    spec(name)


def _built_in() -> Iterator[ModelSpec]:
    folder = Path(__file__).parent
    for package in iter_modules([str(folder)]):
        if package.name != "base" and (folder / package.name / "spec.py").is_file():
            yield from import_module(f"bakeoff.models.{package.name}.spec").SPECS


def _installed() -> Iterator[ModelSpec]:
    for point in entry_points(group=ENTRY_POINTS):
        try:
            loaded: Sequence[ModelSpec] = point.load()
        except (ImportError, AttributeError) as error:
            raise BakeoffError(
                f"The models of {point.value} can't be loaded ({error}): repair or uninstall the package that "
                f"registers them in the entry-point group {ENTRY_POINTS}."
            ) from None
        yield from loaded
