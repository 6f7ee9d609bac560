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
    "numba great_expectations sklearn.manifold dvc.api bakeoff.cli.app bakeoff.data.validate.gx "
    "bakeoff.data.validate.suites bakeoff.models.base.loading bakeoff.stages.unbiasedness "
    "bakeoff.stages.train bakeoff.models.neural.trainer bakeoff.stages.validate bakeoff.stages.split "
    "bakeoff.stages.evaluate bakeoff.stages.variants bakeoff.stages.planted bakeoff.stages.serving "
    "bakeoff.stages.rerank bakeoff.stages.items bakeoff.stages.compare bakeoff.stages.growth "
    "bakeoff.data.fetch.command bakeoff.ops.drift.expectations bakeoff.ops.drift.command bakeoff.ops.promotion.decide "
    "bakeoff.ops.promotion.promote"
)
"""Of stages and of what they import inside their functions."""

DVC_MODULES = (
    "dvc.cli dvc.repo dvc.repo.reproduce dvc.repo.checkout dvc.repo.status dvc.repo.add dvc.repo.push dvc.repo.pull "
    "dvc.commands.repro dvc.commands.checkout dvc.commands.status dvc.commands.data_sync dvc.stage.run dvc.output "
    "dvc_data.index dvc_data.hashfile.db dvc.cachemgr dvc.data_cloud dvc.scm dvc.ignore dvc.lock dvc.rwlock"
)
"""Of DVC's commands, likewise."""

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"))
# Processes share the cores already: threads that wait for each other, spinning, would take a tenth of their time. This
# module is imported before NumPy is.

HANGS = 600
"""Seconds after which a command is taken for one that hangs, and ended with the stacks of its threads: whoever waits
for it would wait for ever. The longest take some ten seconds."""


class Program:
    """A module with a function `run(command)`, whose commands are forked children of what has loaded all libraries."""

    def __init__(self, module: Path, warm: str) -> None:
        """A module, and the directory of the commands that start at once."""
        self._module = module
        self._warm = warm

    def attempt(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Run a command in its `workspace`: its `status`, negative where a signal ended it, and what it `printed`."""
        code = "import sys, forking; forking.told(*sys.argv[1:])"
        told = [f"{self._warm}/warm-python", "-c", code, str(self._module), json.dumps(command)]
        answer: dict[str, Any] = json.loads(subprocess.run(told, check=True, stdout=subprocess.PIPE).stdout)
        return answer


def told(module: str, command: str) -> None:
    """Be a program that is given a command, as JSON; prints what became of it, likewise."""
    faulthandler.cancel_dump_traceback_later()  # its thread would not be there in a child, which would wait for it
    sys.path.insert(0, str(Path(module).parent))
    program = importlib.import_module(Path(module).stem)
    print(json.dumps(_forked(json.loads(command), program.run)))


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
    """What is loaded stays: a collection in a child would otherwise look at all of it, and so copy its pages.

    Collections are rarer too: traced graphs and compiled queries live until a test ends, and looking for garbage among
    them after each 700 objects takes a thirtieth of the suite's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


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
    graphs_as_traced()
    numba = importlib.import_module("numba")
    numba.njit(lambda: 0)()  # fills its tables of types, which takes longer than to load all of our kernels


def bundle_chart_library() -> Callable[[], None]:
    """Bundle the report's chart library meanwhile, in a child: what bundles it starts threads.

    Returns:
        what waits for it and has it at hand.
    """
    scripts = importlib.import_module("bakeoff.report.render.pages")
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed once it is read
    pid = os.fork()
    if pid == 0:
        file.write(scripts.chart_library().encode())
        file.flush()
        os._exit(0)

    def take() -> None:
        with file:
            assert os.waitpid(pid, 0)[1] == 0, "the chart library could not be bundled"
            file.seek(0)
            library = file.read().decode()
        scripts.chart_library = lambda: library

    return take


def graphs_as_traced() -> None:
    """Have TensorFlow run graphs as they are: to optimise one takes longer than a test lets it run."""
    tensorflow = importlib.import_module("tensorflow")
    tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
