"""Commands in forked children of one process that has loaded their libraries: neither start nor kill costs much."""

import faulthandler
import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

MODULES = (
    "numba great_expectations sklearn.manifold dvc.api bakeoff.cli "
    "bakeoff.validation.inspector bakeoff.validation.tables "
    "bakeoff.models.exported bakeoff.stages.unbiasedness bakeoff.stages.train_ease bakeoff.stages.train_popularity "
    "bakeoff.stages.train_recent_popularity bakeoff.stages.train_two_tower bakeoff.stages.validate "
    "bakeoff.stages.split bakeoff.stages.evaluate bakeoff.stages.variants bakeoff.stages.planted "
    "bakeoff.stages.serving bakeoff.stages.rerank bakeoff.stages.items bakeoff.stages.compare bakeoff.stages.growth "
    "bakeoff.stages.fetch bakeoff.drift.judging bakeoff.stages.drift bakeoff.stages.decide bakeoff.stages.promote"
)
"""Of stages and of what they import inside their functions."""

DVC_MODULES = (
    "dvc.cli dvc.repo dvc.repo.reproduce dvc.repo.checkout dvc.repo.status dvc.repo.add dvc.repo.push dvc.repo.pull "
    "dvc.commands.repro dvc.commands.checkout dvc.commands.status dvc.commands.data_sync dvc.stage.run dvc.output "
    "dvc_data.index dvc_data.hashfile.db dvc.cachemgr dvc.data_cloud dvc.scm dvc.ignore dvc.lock dvc.rwlock"
)
"""Of DVC's commands, likewise."""

HANGS = 600
"""Seconds after which a command is taken for one that hangs, and ended with the stacks of its threads: whoever waits
for it would wait for ever. The longest take some ten seconds."""


class Server:
    """A program that calls `serve`, as seen by the tests."""

    def __init__(self, program: Path) -> None:
        """Start it, and wait until it has loaded everything."""
        self._process = subprocess.Popen(
            [sys.executable, program],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._answer()

    def attempt(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Run a command: its `status`, negative where a signal ended it, and what it `printed`."""
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End it."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise RuntimeError("the server of commands has ended: what it printed stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def serve(load: Callable[[], None], run: Callable[[dict[str, Any]], None]) -> None:
    """Read commands from stdin, one JSON object a line, and answer each on stdout; does not return.

    Args:
        load: imports what commands need.
        run: is a command, in a child whose working directory is its `workspace`.
    """
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)  # whatever a library prints is no answer
        load()
        keep()
        print("{}", file=out, flush=True)
        for line in sys.stdin:
            print(json.dumps(_forked(json.loads(line), run)), file=out, flush=True)
        os._exit(0)  # there is nothing to put in order, and TensorFlow takes seconds for it


def _forked(command: dict[str, Any], run: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as printed:
        pid = os.fork()
        if pid == 0:
            os.dup2(printed.fileno(), 1)
            os.dup2(printed.fileno(), 2)
            os.setsid()
            os.chdir(command["workspace"])
            become(lambda: run(command))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        printed.seek(0)
        return {"status": status, "printed": printed.read().decode(errors="replace")}


def become(command: Callable[[], None], tell: Callable[[int], object] = int) -> NoReturn:
    """Run a command in a forked child, and end as its process would; `tell` is told its status first."""
    faulthandler.dump_traceback_later(HANGS, exit=True)
    status = 70
    try:
        command()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:  # noqa: BLE001 - it must not get back into the server
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        tell(status)
        os._exit(status)


def keep() -> None:
    """What is loaded stays: a collection in a child would otherwise look at all of it, and so copy its pages."""
    gc.collect()
    gc.freeze()


def load_dvc() -> None:
    """Import what DVC's commands import."""
    for name in DVC_MODULES.split():
        importlib.import_module(name)


def load_stages() -> None:
    """Import what stages import, and run nothing of TensorFlow: its threads would not be there in a child."""
    importlib.import_module("bakeoff")  # its settings must stand before TensorFlow is imported
    tensorflow = importlib.import_module("tensorflow")
    devices = tensorflow.config.list_logical_devices
    tensorflow.config.list_logical_devices = list
    for name in MODULES.split():
        importlib.import_module(name)
    tensorflow.config.list_logical_devices = devices
