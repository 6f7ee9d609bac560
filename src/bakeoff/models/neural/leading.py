"""The chief's trainer: what takes all workers of a team, it has the others do too."""

from collections.abc import Callable, Mapping
from functools import partial, update_wrapper
from typing import Any, Protocol

from numpy.typing import NDArray

from bakeoff.models.base.encoder import Encoder
from bakeoff.models.base.epochs import Trainer
from bakeoff.models.neural.team import Team


class TeamTrainer(Trainer, Protocol):
    """One that trains together with the same in other processes. All call `share` and `run_epoch` together."""

    @property
    def is_divided(self) -> bool:
        """Whether each worker has some of the weights only: all call `encoder` and `state` together then."""

    def share(self, state: Mapping[str, NDArray[Any]] | None = None) -> None:
        """Meet the others before the first epoch, and go on where the chief stands: at this state, if it gives one."""


class Leading:
    """A trainer in whose place the chief has this; the others `follow`."""

    def __init__(self, trainer: TeamTrainer, team: Team) -> None:
        """Lead these; all have shared what the chief has."""
        self._trainer, self._team = trainer, team

    def run_epoch(self) -> float:
        """See `Trainer`."""
        self._call("run_epoch")
        return self._trainer.run_epoch()

    def encoder(self) -> Encoder:
        """See `Trainer`."""
        if self._trainer.is_divided:
            self._call("encoder")
        return self._trainer.encoder()

    def state(self) -> dict[str, NDArray[Any]]:
        """See `Trainer`."""
        if self._trainer.is_divided:
            self._call("state")
        return self._trainer.state()

    @property
    def num_parameters(self) -> int:
        """See `Trainer`."""
        return self._trainer.num_parameters

    def settings(self) -> dict[str, Any]:
        """See `Trainer`."""
        return self._trainer.settings()

    def notes(self) -> dict[str, float]:
        """See `Trainer`."""
        return self._trainer.notes()

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Not while the others are at work: a state is given to `TeamTrainer.share`."""
        raise NotImplementedError

    def _call(self, name: str) -> None:
        self._team.tell({"call": name})


def follow(trainer: TeamTrainer, order: Mapping[str, Any]) -> None:
    """Do what the chief does, by what `Leading` told."""
    getattr(trainer, order["call"])()


def of_team(build: Callable[..., Trainer], team: Team | None) -> Callable[..., Trainer]:
    """What makes the same trainers, but that they are workers of this team."""
    return build if team is None else update_wrapper(partial(build, team=team), build)
