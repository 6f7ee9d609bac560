"""Items that `bakeoff catalogue add` added to the model that answers: taken up while requests go on."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from bakeoff.core.errors import BakeoffError
from bakeoff.ops.additions import FOLDER, additions_path, read_additions
from bakeoff.ops.server.served_model import ServedModel
from bakeoff.ops.server.service import Service

INTERVAL = 0.2
"""Seconds between two looks at the file, each a call of the file system."""

log = logging.getLogger("bakeoff.serve")


def with_added(model: ServedModel, root: Path) -> ServedModel:
    """A model that was just loaded, and what was added to it in this workspace; only that of its own version."""
    embeddings = model.search.vectors(np.arange(len(model.item_ids)))
    path = additions_path(root, model.origin.model, model.item_ids, embeddings)
    if not path.exists() and any((root / FOLDER).glob("*.parquet")):
        log.info(
            "items were added to other models or versions than %s: `bakeoff catalogue add` adds them to it", model.name
        )
    return refreshed(replace(model, source=path), path)


def refreshed(model: ServedModel, source: Path) -> ServedModel:
    """The model with what its file of additions holds now. If it can't be read, the log says so and nothing changes.

    Args:
        model: that answers.
        source: its file.
    """
    base, stamp = model.base or model, _stamp(source)
    try:
        additions = read_additions(source)
        extended = base if additions is None else base.extended(additions)
    except Exception as error:  # noqa: BLE001 - a broken file must not end what works
        log.error(
            "%s goes on without a change. %s", model.name, error if isinstance(error, BakeoffError) else repr(error)
        )
        return replace(model, stamp=stamp)
    if stamp is not None or model.stamp is not None:
        log.info("%s ranks %d added items from now on", model.name, len(additions or ()))
    return replace(extended, base=base, stamp=stamp)


async def follow_added(service: Service) -> None:
    """Take up what is added to the model that answers, or taken back, until cancelled."""
    while True:
        await asyncio.sleep(INTERVAL)
        model = service.model
        if model.source is not None and _stamp(model.source) != model.stamp:
            found = await asyncio.to_thread(refreshed, model, model.source)
            if service.model is model:  # else a promotion came, with its own file
                service.model = found


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes with a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
