"""`bakeoff serve`: answer HTTP with the model in production, and follow what is promoted and added."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from threadpoolctl import threadpool_limits

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.models.base import specs
from bakeoff.models.base.storage import refuse_skipped
from bakeoff.ops.git import check_repository, order
from bakeoff.ops.registry.files import fetch_model
from bakeoff.ops.registry.history import REMOTE, Event, production, read_events

if TYPE_CHECKING:
    from bakeoff.ops.server.app import Follow
    from bakeoff.ops.server.served_model import ServedModel
    from bakeoff.ops.server.service import Service

log = logging.getLogger("bakeoff.serve")

NOTHING = (
    "Nothing is in production, so there is nothing to answer with. Put a model there (`bakeoff decide`, then `bakeoff "
    "promote`); fetch the tags of those who did (`git fetch --tags`, or --fetch); or name one of models/: --model mf."
)

Approximate = Literal["auto", "on", "off"]
"""Whether search is approximate; auto: where the catalogue is large."""


@dataclass(frozen=True)
class Options:
    """How to serve.

    Attributes:
        model: one of models/ of the workspace; None: what is in production.
        host: to listen on.
        port: to listen on; 0: any that is free.
        approximate: whether search is approximate.
        max_batch: queries that are computed together at most.
        interval: seconds between two reads of the registry.
        fetch: fetch tags from `origin` before each read.
        drain: seconds for which requests are still taken after SIGTERM.
    """

    model: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    approximate: Approximate = "auto"
    max_batch: int = 64
    interval: float = 5.0
    fetch: bool = False
    drain: float = 0.0


def run(workspace: Workspace, options: Options) -> None:
    """Answer until SIGTERM or SIGINT.

    Reads models/<model>, or Git's tags and DVC's cache or remote; writes nothing in the workspace.

    Raises:
        BakeoffError: the extra `serve` is not installed, nothing is in production, the model can't be loaded, or the
            address is taken.
    """
    try:
        from bakeoff.ops.server.app import create_app  # with all below it: --help need not pay
        from bakeoff.ops.server.http_server import DrainingServer, listen, url
        from bakeoff.ops.server.service import settle
    except ModuleNotFoundError as error:
        raise BakeoffError(
            f"`bakeoff serve` needs the package {error.name}, which is not installed: `pip install 'bakeoff[serve]'`."
        ) from None

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    log.setLevel(logging.INFO)
    with listen(options.host, options.port) as bound, threadpool_limits(1, "blas"):
        service, follow = prepare(workspace, options)

        def on_end() -> None:
            service.draining = True

        def on_start() -> None:
            print(
                f"{service.model.name} answers on {url(bound)}; {url(bound)}/docs shows what can be sent.", flush=True
            )

        app = create_app(service, version("bakeoff"), follow)
        settle()
        DrainingServer(app, options.drain, on_start, on_end).run(sockets=[bound])


def prepare(workspace: Workspace, options: Options) -> "tuple[Service, Follow | None]":
    """The service with its model loaded, and what follows added items and the registry.

    A baseline that was named has nothing to follow: no registry, and no items that could be added to it.

    Raises:
        BakeoffError: nothing is in production, or the model can't be loaded.
    """
    from bakeoff.ops.server.loading import follow_added
    from bakeoff.ops.server.service import Service, follow

    if options.model is not None:
        service = Service(load_named(workspace, options.model, options.approximate), options.max_batch)
        return service, None if specs.spec(options.model).is_baseline else partial(follow_added, service)
    check_repository(workspace.root)
    look = partial(in_production, workspace.root, fetch=options.fetch)
    current = look()
    if current is None:
        raise BakeoffError(NOTHING)
    load = partial(load_promoted, workspace.root, options.approximate)
    service = Service(load(current), options.max_batch)

    async def follow_both() -> None:
        await asyncio.gather(follow(service, look, load, current, options.interval), follow_added(service))

    return service, follow_both


def in_production(root: Path, *, fetch: bool) -> Event | None:
    """What is in production; None where nothing is.

    Raises:
        BakeoffError: Git's remote can't be reached.
    """
    if fetch:
        order(root, "fetch", "--quiet", "--tags", REMOTE)
    return production(read_events(root))


def load_promoted(root: Path, approximate: Approximate, assignment: Event) -> "ServedModel":
    """A version of the registry, from DVC's cache or its remote.

    Raises:
        BakeoffError: its files can't be had, or can't be loaded.
    """
    from bakeoff.ops.server.loading import load_served, with_added  # imports TensorFlow
    from bakeoff.ops.server.schemas import Origin

    found = assignment.version
    promoted = datetime.fromtimestamp(assignment.at, UTC).isoformat()
    origin = Origin(model=found.model, version=found.number, commit=found.commit, promoted=promoted)
    with TemporaryDirectory(prefix="bakeoff-serve-") as folder:
        model = load_served(fetch_model(root, found, Path(folder) / found.model), origin, approximate)
    return with_added(model, root)


def load_named(workspace: Workspace, model: str, approximate: Approximate) -> "ServedModel":
    """A model of the workspace.

    Raises:
        BakeoffError: there is no such model, it was skipped, or can't be loaded.
    """
    specs.check_model(model)
    refuse_skipped(workspace, model)
    from bakeoff.ops.server.loading import load_served, with_added  # imports TensorFlow: errors above cost no seconds
    from bakeoff.ops.server.schemas import Origin

    model_of = Origin(model=model, version="workspace")
    return with_added(load_served(workspace.saved_model(model), model_of, approximate), workspace.root)
