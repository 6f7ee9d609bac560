"""A process for each measurement."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.core.files import file_hash
from bakeoff.core.processes import THREAD_VARIABLES
from bakeoff.core.subprocesses import ChildError, run_child
from harness.code import OUR_CODE, code_hash, peers_code
from harness.systems import System

FOLDER = Path(__file__).parents[1]
PEERS_PYTHON = FOLDER.parent / ".venv-peers/bin/python"
LIST_LENGTH = 100

KEEP_FREED_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}
"""What this project's networks ask of glibc when they train, for every system (mallopt(3)): without it, half of the
time of a PyTorch network on MovieLens 1M goes into pages that the system clears for each array anew."""


class SystemFailedError(Exception):
    """A system did not come to an end; the message is its own last words."""


@dataclass(frozen=True)
class Runner:
    """Runs workers.

    Attributes:
        threads: given to every system.
        seed: given to every system.
        resume: take results of the same job from an earlier run.
        timeout: seconds after which a process is ended.
        pythons: interpreter of each environment.
    """

    threads: int = 2
    seed: int = 42
    resume: bool = False
    timeout: float = 3600
    pythons: Mapping[str, Path] | None = None

    def run(
        self, system: System, action: str, data: Path, setting: Mapping[str, Any], folder: Path, **more: Any
    ) -> dict[str, Any]:
        """What the worker measured or chose; its lists are in `folder`.

        Args:
            system: whose module works.
            action: `fit` or `select`.
            data: file that Data.save wrote.
            setting: handed to the module.
            folder: for job.json, result.json and lists.
            more: further keys of the job, such as checkpoints.

        Raises:
            SystemFailedError: with the last lines that the process wrote.
        """
        job = {
            "module": system.module,
            "action": action,
            "data": str(data.resolve()),
            "setting": dict(setting),
            "seed": self.seed,
            "threads": self.threads,
            "list_length": LIST_LENGTH,
            "variables": KEEP_FREED_MEMORY,
            # What has been measured counts while it rests on the same data and code.
            "data_hash": file_hash(data, "sha256"),
            "code": code_hash((OUR_CODE if system.ours else ()) + peers_code([system.module])),
            **more,
        }
        text = json.dumps(job, indent=2, sort_keys=True) + "\n"
        path, result = folder / "job.json", folder / "result.json"
        same = path.exists() and path.read_text(encoding="utf-8") == text
        if not (self.resume and same and result.exists()):
            folder.mkdir(parents=True, exist_ok=True)
            result.unlink(missing_ok=True)
            path.write_text(text, encoding="utf-8")
            self._work(system, path)
        measured: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return measured

    def _work(self, system: System, job: Path) -> None:
        python = (self.pythons or {"main": Path(sys.executable), "peers": PEERS_PYTHON})[system.environment]
        if not python.exists():
            raise SystemFailedError(f"{python} is missing: `make bench` makes the peers' environment")
        command = [str(python), "-m", "peers.worker", str(job.resolve())]
        said: list[str] = []
        try:
            run_child(command, FOLDER, log=said.append, timeout=self.timeout, variables=self._environment())
        except ChildError as error:
            raise SystemFailedError(error.tail[-1] if error.status and error.tail else error.reason) from None
        finally:
            (job.parent / "log.txt").write_text("\n".join(said), encoding="utf-8")

    def _environment(self) -> dict[str, str]:
        threads = dict.fromkeys(THREAD_VARIABLES, str(self.threads))
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_USE_LEGACY_KERAS": "1", "PYTHONHASHSEED": "0"}
        path = os.pathsep.join([str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])])
        return {**threads, **KEEP_FREED_MEMORY, **quiet, "PYTHONPATH": path}
