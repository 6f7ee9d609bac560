"""What `bakeoff serve --log` adds to a server: impressions, feedback, interleaved and sampled lists."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable
from contextlib import suppress
from datetime import UTC, datetime
from operator import eq
from random import Random
from typing import Any

from prometheus_client import Counter

from bakeoff.core.errors import shortened
from bakeoff.ops.online.evaluate import CLICK, evaluate
from bakeoff.ops.online.experiment import team_draft
from bakeoff.ops.online.log import LogWriter
from bakeoff.ops.server.schemas import Answer, Feedback, Item, Query, RefusedError, State
from bakeoff.ops.server.served_model import ServedModel
from bakeoff.ops.server.service import Service

REMEMBERED, REMEMBERED_PLACES = 50_000, 2_000_000
"""Lists, and their places in all, whose feedback is checked at once; that on others is checked when the log is read."""

POOL = 2
"""Lists of one model are drawn from so many times their length, its best items."""

CHECK_SECONDS, CHECK_SHARE = 600.0, 0.01
"""Least time between two looks at whether the challenger is shown to be worse, and share of the time that they take."""

log = logging.getLogger("bakeoff.serve")
LOGGED = Counter("bakeoff_logged_rows", "Rows taken for the log.", ["table"])
DROPPED = Counter("bakeoff_log_dropped_rows", "Rows dropped because the log could not be written for long.")


class Online:
    """Answers as the service does, and logs it.

    Attributes:
        challenger: whose lists are interleaved with those of the service's model; None: nobody's.
    """

    def __init__(
        self, service: Service, writer: LogWriter, challenger: ServedModel | None, explore: float, *, plain_ids: bool
    ) -> None:
        """Log the answers of a service.

        Args:
            service: whose model is the champion.
            writer: of the log.
            challenger: see above.
            explore: share of the lists that are drawn at random.
            plain_ids: log ids of users as they are.
        """
        self._service, self._writer, self.challenger, self._explore = service, writer, challenger, explore
        self._plain_ids, self._rng = plain_ids, Random()  # noqa: S311 - no secret
        self._recent: OrderedDict[str, list[str]] = OrderedDict()
        self._places = 0

    def submit(self, model: ServedModel, query: Query) -> Awaitable[Answer]:
        """The answer of a model, logged, once it is there.

        A query with `why`, and one that the challenger refuses, is answered by this model alone.

        Raises:
            RefusedError: as `Service.submit`.
        """
        rival, asked = None if query.why else self.challenger, query
        if self._explore and rival is None and not (query.why or query.diversity or query.debias):
            asked = query.model_copy(update={"k": max(query.k, min(POOL * query.k, len(model.item_ids)))})
        pending: list[Awaitable[Answer]] = [self._service.submit(model, asked)]
        if rival is not None:
            with suppress(RefusedError):
                pending.append(self._service.submit(rival, query))
        return self._shown(model, rival, query, pending)

    async def _shown(
        self, model: ServedModel, rival: ServedModel | None, query: Query, pending: list[Awaitable[Answer]]
    ) -> Answer:
        """The list that is shown, once the models have answered; it is logged."""
        answer, *others = await asyncio.gather(*pending, return_exceptions=True)
        if isinstance(answer, BaseException):
            raise answer
        answers = [answer, *(each for each in others if isinstance(each, Answer))]  # a rival that fails ends nothing
        rankings = [[item.item_id for item in each.items] for each in answers]
        explore = 0.0 if query.why else self._explore
        draft = team_draft(rankings[0], rankings[-1], query.k, self._rng, explore)
        scores = {item.item_id: item.score for each in reversed(answers) for item in each.items}
        row = draft._asdict() | {
            "id": self._writer.pseudonyms.new_impression(),
            "user": query.user_id,
            "champion": model.origin.label,
            "challenger": rival.origin.label if rival is not None and len(answers) > 1 else None,
            "scores": [scores[item] for item in draft.items],
            "as_champion": [*map(eq, draft.items, rankings[0])],
            "as_challenger": [*map(eq, draft.items, rankings[-1])],
            "explore": explore,
        }
        if query.user_id is not None and not self._plain_ids:
            row["user"] = self._writer.pseudonyms.user(query.user_id)
        self._add("impressions", row)
        self._recent[row["id"]] = draft.items
        self._places += len(draft.items)
        while len(self._recent) > REMEMBERED or self._places > REMEMBERED_PLACES:
            self._places -= len(self._recent.popitem(last=False)[1])
        items = [Item.model_construct(item_id=item, score=scores[item]) for item in draft.items]
        return answer.model_copy(update={"impression": row["id"]} | ({} if query.why else {"items": items}))

    def feedback(self, sent: Feedback) -> State:
        """Log what somebody did with an item of a list.

        Raises:
            RefusedError: 404, no server of this log has issued the id of the list; 422, the item was not in it;
                503, too much waits for a log that can't be written.
        """
        if not self._writer.pseudonyms.issued(sent.impression):
            raise RefusedError(
                404,
                f"impression {shortened(sent.impression)} is not known: send the `impression` of the answer that was "
                "shown, from servers with the same --log.",
            )
        if sent.item_id not in self._recent.get(sent.impression, [sent.item_id]):  # of other servers it takes any
            raise RefusedError(422, f"Item {shortened(sent.item_id)} was not in the list of {sent.impression}.")
        if not self._add("feedback", sent.model_dump()):
            raise RefusedError(503, "The log can't be written and too much waits for it already: try again later.")
        return State(status="logged")

    async def watch(self) -> None:
        """End the interleaving once the challenger is shown to be worse; until cancelled."""
        while self.challenger is not None:
            begun = time.monotonic()
            await asyncio.to_thread(self.stop_if_worse, self.challenger)
            await asyncio.sleep(max(CHECK_SECONDS, (time.monotonic() - begun) / CHECK_SHARE))

    def stop_if_worse(self, challenger: ServedModel) -> None:
        """Go on with the champion alone if the log shows, at 95 %, that the challenger wins fewer clicks."""
        names = self._service.model.origin.label, challenger.origin.label
        try:
            found = evaluate(self._writer.folder, CLICK).pairs.get(names)
        except Exception as error:  # noqa: BLE001 - whatever it is, the server goes on
            log.error("whether %s is worse can't be looked up: %s", names[1], error)
            return
        if found is not None and (rate := found.win_rate(0.95))["finding"] == "worse":
            self.challenger = None
            log.warning(
                "%s wins %d of %d decided lists and is worse (95 %% interval up to %.1f %%): it is shown no more, and "
                "%s answers alone. `bakeoff online` has the figures.",
                *(names[1], rate["wins"], rate["decided"], 100 * rate["high"], names[0]),
            )

    def close(self) -> None:
        """Write what waits."""
        self._writer.close()

    def _add(self, table: str, row: dict[str, Any]) -> bool:
        """Log a row; False where it is dropped."""
        is_taken = self._writer.add(table, row | {"time": datetime.now(UTC)})
        (LOGGED.labels(table) if is_taken else DROPPED).inc()
        return is_taken
