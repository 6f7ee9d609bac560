"""What each epoch of a training cost, so that its total has an interval."""

import time

from bakeoff.core.cost import cpu_seconds


class EpochCosts:
    """Wall and CPU time between calls; the first epoch of a phase, in which code is traced, does not count."""

    def __init__(self) -> None:
        """Nothing was measured yet."""
        self._wall: list[float] = []
        self._cpu: list[float] = []
        self._last: tuple[float, float] | None = None

    def begin(self) -> None:
        """A phase begins."""
        self._last = None

    def ended(self) -> None:
        """An epoch of this phase has ended."""
        now = time.perf_counter(), cpu_seconds()
        if self._last is not None:
            self._wall.append(now[0] - self._last[0])
            self._cpu.append(now[1] - self._last[1])
        self._last = now

    def notes(self, resumed: bool) -> dict[str, list[float]]:
        """Seconds of each epoch that counts, of both phases, validation and checkpoints included.

        None where the training went on from a checkpoint: epochs of another process are in its total and not here.
        """
        if resumed:
            return {}
        return {"epoch_seconds": self._wall, "epoch_cpu_seconds": self._cpu}
