"""Follows the registry: what is promoted is loaded beside what answers, and takes its place once it is ready."""

import asyncio
import logging
import time
from collections.abc import Callable

from bakeoff.core.errors import BakeoffError
from bakeoff.ops.registry.history import Event, Place
from bakeoff.ops.server.served import ServedModel
from bakeoff.ops.server.service import Service, settle

log = logging.getLogger("bakeoff.serve")

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 600.0
"""Seconds before a promotion that could not be loaded is tried again; doubled each time. Files may come late."""


class Watcher:
    """Looks every few seconds; loads in a thread, while requests go on."""

    def __init__(
        self,
        service: Service,
        look: Callable[[], Event | None],
        load: Callable[[Event], ServedModel],
        standing: Event,
        interval: float,
    ) -> None:
        """Start from what answers now.

        Args:
            service: whose model is replaced.
            look: what is in production; may raise BakeoffError.
            load: a model, warm; may raise BakeoffError.
            standing: what was loaded already.
            interval: seconds between two looks.
        """
        self._service, self._look, self._load, self._interval = service, look, load, interval
        self._place, self._since = standing.version.place, standing.tag
        self._told = ""
        self._pauses: dict[tuple[Place, str], tuple[float, float]] = {}

    async def follow(self) -> None:
        """Go on until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            await self.step()

    async def step(self) -> None:
        """Look once; take up what is new."""
        try:
            found = await asyncio.to_thread(self._look)
        except Exception as error:  # noqa: BLE001 - whatever it is, what answers goes on answering
            self._service.metrics.on_registry_failure()
            if str(error) != self._told:  # said once, not every few seconds
                log.warning("the registry can't be read, %s goes on answering: %s", self._service.model.name, error)
            self._told = str(error)
            return
        self._told = ""
        if found is None or (found.version.place, found.tag) == (self._place, self._since):
            self._service.failed = None  # what could not be loaded was taken back
            return
        key = found.version.place, found.tag
        again, pause = self._pauses.get(key, (0.0, FIRST_PAUSE))
        if time.monotonic() < again:
            return
        log.info("%s was promoted: loading it", found.version.name)
        try:
            model = await asyncio.to_thread(self._load, found)
        except Exception as error:  # noqa: BLE001 - a broken promotion must not end what works
            self._pauses[key] = time.monotonic() + pause, min(2 * pause, LONGEST_PAUSE)
            why = str(error) if isinstance(error, BakeoffError) else f"{type(error).__name__}: {error}"
            self._service.keep(found.version.name, why)
            return
        self._service.swap(model)
        self._place, self._since = key
        self._pauses.clear()
        await asyncio.to_thread(settle)
