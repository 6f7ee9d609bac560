"""`bakeoff serve`: answer HTTP with the model in production, and follow what is promoted and added."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from threadpoolctl import threadpool_limits

from bakeoff.core.errors import BakeoffError
from bakeoff.core.processes import num_cores
from bakeoff.core.workspace import Workspace
from bakeoff.models.base import specs
from bakeoff.models.base.storage import refuse_skipped
from bakeoff.ops.git import check_repository, git
from bakeoff.ops.online.log import LogWriter
from bakeoff.ops.online.serving import Online
from bakeoff.ops.promotion.promote import read_decision
from bakeoff.ops.registry.files import directory_md5, fetched, model_md5
from bakeoff.ops.registry.history import REMOTE, Event, Version, find_version, production, read_events
from bakeoff.ops.server.app import Follow, create_app
from bakeoff.ops.server.http_server import DrainingServer, listen, url
from bakeoff.ops.server.loading import follow_added, load_served, with_added
from bakeoff.ops.server.schemas import Origin
from bakeoff.ops.server.search import MOST_THREADS
from bakeoff.ops.server.served_model import ServedModel
from bakeoff.ops.server.service import Service, follow, settle

log = logging.getLogger("bakeoff.serve")

NOTHING = (
    "Nothing is in production, so there is nothing to answer with. Put a model there (`bakeoff decide`, then `bakeoff "
    "promote`); fetch the tags of those who did (`git fetch --tags`, or --fetch); or name one of models/: --model mf."
)

FETCH_SECONDS = 30.0
"""Time in which Git's remote must have sent its tags: one that says nothing would end the following for good."""

Approximate = Literal["auto", "on", "off"]
"""Whether search is approximate; auto: where the catalogue is large."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to serve; the command has the defaults.

    Attributes:
        model: one of models/ of the workspace; None: what is in production.
        host: to listen on.
        port: to listen on; 0: any that is free.
        approximate: whether search is approximate.
        max_batch: queries that are computed together at most.
        interval: seconds between two reads of the registry.
        fetch: fetch tags from `origin` before each read.
        drain: seconds for which requests are still taken after SIGTERM.
        log: directory in which answers and feedback are logged; None: no log.
        log_days: age at which its rows are removed.
        plain_ids: log ids of users as they are, not their pseudonyms.
        interleave: names of the champion and of the challenger whose lists are interleaved; None: one model answers.
        explore: share of the lists that are sampled.
    """

    model: str | None
    host: str
    port: int
    approximate: Approximate
    max_batch: int
    interval: float
    fetch: bool
    drain: float
    log: Path | None
    log_days: float
    plain_ids: bool
    interleave: tuple[str, str] | None
    explore: float


def run(workspace: Workspace, options: Options) -> None:
    """Answer until SIGTERM or SIGINT.

    Reads models/<model>, or Git's tags and DVC's cache or remote; writes nothing in the workspace but the log.

    Raises:
        BakeoffError: nothing is in production, the model can't be loaded, or the address is taken.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    log.setLevel(logging.INFO)
    with listen(options.host, options.port) as bound, threadpool_limits(min(num_cores(), MOST_THREADS), "blas"):
        service, following = prepare(workspace, options)
        online = None if options.log is None else with_log(workspace, service, options, options.log)

        def on_end() -> None:
            service.draining = True

        def on_start() -> None:
            print(
                f"{service.model.name} answers on {url(bound)}; {url(bound)}/docs shows what can be sent.", flush=True
            )

        app = create_app(service, version("bakeoff"), following, online)
        settle()
        DrainingServer(app, options.drain, on_start, on_end).run(sockets=[bound])


def prepare(workspace: Workspace, options: Options) -> tuple[Service, Follow | None]:
    """The service with its model loaded, and what follows added items and the registry.

    A baseline that was named has nothing to follow: no registry, and no items that could be added to it. Nor do models
    whose lists are interleaved: a comparison is one of two versions.

    Raises:
        BakeoffError: nothing is in production, the model can't be loaded, or options don't fit each other.
    """
    _check(options)
    if options.interleave is not None:
        champion = load_named(workspace, options.interleave[0], options.approximate)
        return Service(champion, options.max_batch), None
    if options.model is not None:
        service = Service(load_named(workspace, options.model, options.approximate), options.max_batch)
        return service, None if specs.spec(service.model.origin.model).is_baseline else partial(follow_added, service)
    check_repository(workspace.root)
    look = partial(in_production, workspace.root, fetch=options.fetch)
    if (current := look()) is None:
        raise BakeoffError(NOTHING)
    load = partial(load_promoted, workspace.root, options.approximate)
    service = Service(load(current), options.max_batch)

    async def follow_both() -> None:
        await asyncio.gather(follow(service, look, load, current, options.interval), follow_added(service))

    return service, follow_both


def with_log(workspace: Workspace, service: Service, options: Options, folder: Path) -> Online:
    """What logs the answers of a service, with the challenger loaded where there is one.

    Raises:
        BakeoffError: the challenger can't be loaded or is the champion, or the log can't be written.
    """
    challenger = None
    if options.interleave is not None:
        challenger = load_named(workspace, options.interleave[1], options.approximate)
        if challenger.origin.md5 == service.model.origin.md5:
            raise BakeoffError(f"{challenger.name} is the champion, byte for byte: --interleave needs another model.")
    writer = LogWriter(folder, options.log_days)
    return Online(service, writer, challenger, options.explore, plain_ids=options.plain_ids)


def _check(options: Options) -> None:
    """Refuse options that don't fit each other."""
    needing = {"--interleave": options.interleave, "--explore": options.explore, "--log-plain-ids": options.plain_ids}
    if options.log is None and (named := [name for name, value in needing.items() if value]):
        raise BakeoffError(f"{named[0]} is of no use without a log: add --log DIR, such as --log .bakeoff/online.")
    if options.interleave is not None and options.model is not None:
        raise BakeoffError(f"--interleave names both models: leave --model {options.model} out.")


def load_named(workspace: Workspace, name: str, approximate: Approximate) -> ServedModel:
    """A model by name.

    Args:
        workspace: that has it.
        name: `champion`, what is in production; `challenger`, the model of the last decision; a version of the
            registry, such as `mf@v1.0.0`; or one of models/.
        approximate: whether search is approximate.

    Raises:
        BakeoffError: there is no such model, it was skipped, or can't be loaded.
    """
    if name == "challenger":
        if (decision := read_decision(workspace)) is None:
            raise BakeoffError("There is no decision that names a challenger: run `bakeoff decide`, or name a model.")
        name = decision["challenger"]["model"]
    elif name == "champion" or "@" in name:
        check_repository(workspace.root)
        if name != "champion":
            return load_version(workspace.root, approximate, find_version(read_events(workspace.root), name))
        if (current := in_production(workspace.root, fetch=False)) is None:
            raise BakeoffError(NOTHING)
        return load_promoted(workspace.root, approximate, current)
    specs.check_model(name)
    refuse_skipped(workspace, name)
    folder = workspace.saved_model(name)
    origin = Origin(model=name, version="workspace", md5=directory_md5(folder))
    return with_added(load_served(folder, origin, approximate), workspace.root)


def in_production(root: Path, *, fetch: bool) -> Event | None:
    """What is in production; None where nothing is.

    Raises:
        BakeoffError: Git's remote can't be reached, or does not answer in time.
    """
    if fetch:
        git(root, "fetch", "--quiet", "--tags", REMOTE, timeout=FETCH_SECONDS)
    return production(read_events(root))


def load_promoted(root: Path, approximate: Approximate, assignment: Event) -> ServedModel:
    """The version that an assignment of the registry put into production: see `load_version`."""
    promoted = datetime.fromtimestamp(assignment.at, UTC).isoformat()
    return load_version(root, approximate, assignment.version, promoted)


def load_version(root: Path, approximate: Approximate, found: Version, promoted: str | None = None) -> ServedModel:
    """A version of the registry, from DVC's cache or its remote.

    Raises:
        BakeoffError: its files can't be had, or can't be loaded.
    """
    md5 = model_md5(root, found.commit, found.model)
    origin = Origin(model=found.model, version=found.number, commit=found.commit, promoted=promoted, md5=md5)
    with fetched(root, found) as folder:
        return with_added(load_served(folder, origin, approximate), root)
