"""Pages beside the tables of systems, each made by a script of its own."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.datasets import BENCHMARKS, ROOT


@dataclass(frozen=True)
class Study:
    """How a page is made.

    Attributes:
        commands: scripts of benchmarks/ with their options, in order; `{results}` stands for the folder of pages.
        data: data sets whose folder of raw data they need.
    """

    commands: tuple[str, ...]
    data: tuple[str, ...] = ()

    def missing(self, raw: Path | None) -> list[str]:
        """Folders of raw data that are not there."""
        return [BENCHMARKS[name].folder for name in self.data if not BENCHMARKS[name].is_in(raw)]

    def run(self, raw: Path | None, results: Path) -> int:
        """Run the commands, up to the first that fails; its exit status."""
        for command in self.commands:
            script, *options = command.replace("{results}", str(results.resolve())).split()
            where = ("--data", str(raw.resolve())) if raw is not None and self.data else ()
            done = subprocess.run([sys.executable, str(ROOT / "benchmarks" / script), *options, *where], check=False)
            if done.returncode:
                return done.returncode
        return 0


STUDIES: Mapping[str, Study] = {
    "ladder": Study(("ladder.py ml-100k --seconds 180 --seeds 5 --results {results}",)),
    "visits": Study(("visits.py ml-100k ml-1m --write {results}/visits.json",), ("ml-1m",)),
    "sampling": Study(
        (
            "sampling.py gowalla --results {results}",
            "sampling.py planted --seconds 30 --samplers mixed in-batch uniform popularity --results {results}",
        ),
        ("gowalla",),
    ),
    "warm_start": Study(
        (
            "warm_start.py ml-1m ml-1m-busy made --results {results}",
            "warm_start.py ml-1m --models softmax --seeds 43 44 45 --results {results}",
            "warm_start.py ml-100k --models mf --results {results}",
            "warm_start.py ml-100k --models softmax two_tower --seeds 43 44 45 --results {results}",
        ),
        ("ml-1m",),
    ),
    "new_items": Study(("new_items.py ml-100k ml-1m --results {results}",), ("ml-1m",)),
    "vectors": Study(("vectors.py ml-100k --results {results}",), ("ml-100k",)),
    "event_types": Study(("event_types.py --results {results}",)),
    "repeats": Study(("repeats.py --write {results}/repeats.json",)),
    "online": Study(("online.py --write {results}/online.json",)),
    "upkeep": Study(("upkeep.py --write {results}/upkeep.json",)),
}
"""By name. Scripts that need what `make run` has made, a second tool or an idle machine for hours are run by hand."""


def ready(raw: Path | None) -> list[str]:
    """Names of those whose raw data are there."""
    return [name for name, study in STUDIES.items() if not study.missing(raw)]
