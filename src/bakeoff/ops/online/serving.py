"""What `bakeoff serve --log` adds to a server: impressions, feedback, interleaved and sampled lists."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from operator import eq
from random import Random
from typing import Any

from prometheus_client import Counter

from bakeoff.core.errors import BakeoffError, shortened
from bakeoff.ops.online.evaluate import CLICK, evaluate
from bakeoff.ops.online.interleave import explored, plain, team_draft
from bakeoff.ops.online.log import LogWriter
from bakeoff.ops.server.schemas import (
    Answer,
    ExplainedAnswer,
    Feedback,
    FeedbackState,
    Item,
    LoggedAnswer,
    LoggedExplainedAnswer,
    Query,
    RefusedError,
)
from bakeoff.ops.server.served_model import ServedModel
from bakeoff.ops.server.service import Service

REMEMBERED = 50_000
"""Lists whose feedback is checked at once; that on others is checked when the log is read."""

POOL = 2
"""Sampled lists are drawn from so many times their length, the best by the model."""

CHECK_SECONDS = 600.0
"""Seconds between two looks at whether the challenger is shown to be worse."""

log = logging.getLogger("bakeoff.serve")
LOGGED = Counter("bakeoff_logged_rows", "Rows taken for the log.", ["table"])
DROPPED = Counter("bakeoff_log_dropped_rows", "Rows dropped because the log could not be written for long.")


@dataclass
class _Shown:
    items: tuple[str, ...]
    events: set[tuple[str, str]] = field(default_factory=set)


class Online:
    """Answers as the service does, and logs it.

    Attributes:
        challenger: whose lists are interleaved with those of the service's model; None: nobody's.
    """

    def __init__(
        self,
        service: Service,
        writer: LogWriter,
        challenger: ServedModel | None = None,
        explore: float = 0.0,
        *,
        plain_ids: bool = False,
        rng: Random | None = None,
    ) -> None:
        """Log the answers of a service.

        Args:
            service: whose model is the champion.
            writer: of the log.
            challenger: see above.
            explore: share of the lists that are sampled.
            plain_ids: log ids of users as they are.
            rng: draws.
        """
        self._service, self._writer, self.challenger, self._explore = service, writer, challenger, explore
        self._plain_ids, self._rng = plain_ids, rng or Random()  # noqa: S311 - no secret
        self._recent: OrderedDict[str, _Shown] = OrderedDict()

    def submit(self, model: ServedModel, query: Query) -> Awaitable[Answer]:
        """The answer of a model, logged, once it is there.

        A query with `why`, and one that the challenger refuses, is answered by this model alone.

        Raises:
            RefusedError: as `Service.submit`.
        """
        rival, asked = None if query.why else self.challenger, query
        if self._explore and rival is None and not (query.why or query.diversity or query.debias):
            most = min(POOL * query.k, len(model.item_ids))
            asked = query.model_copy(update={"k": max(query.k, most)})
        pending: list[Awaitable[Answer]] = [self._service.submit(model, asked)]
        if rival is not None:
            with suppress(RefusedError):
                pending.append(self._service.submit(rival, query))
        return self._shown(model, rival if len(pending) > 1 else None, query, pending)

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
        whole = (
            team_draft(rankings[0], rankings[1], query.k, self._rng)
            if len(answers) > 1
            else plain(rankings[0][: query.k])
        )
        draft, propensities = explored(whole, [*dict.fromkeys(chain(*rankings))], explore, self._rng)
        scores = {item.item_id: item.score for each in reversed(answers) for item in each.items}
        identity = self._writer.pseudonyms.new_impression()
        self._remember(identity, draft.items)
        user = (
            query.user_id if query.user_id is None or self._plain_ids else self._writer.pseudonyms.user(query.user_id)
        )
        in_place = [[*map(eq, draft.items, ranking)] for ranking in rankings]
        self._add(
            "impressions",
            {
                "id": identity,
                "user": user,
                "champion": model.origin.label,
                "challenger": rival.origin.label if rival is not None and len(answers) > 1 else None,
                "items": draft.items,
                "scores": [scores[item] for item in draft.items],
                "propensities": propensities,
                "teams": draft.teams,
                **dict(zip(("as_champion", "as_challenger"), [*in_place, None], strict=False)),
                "explore": explore,
            },
        )
        if isinstance(answer, ExplainedAnswer):
            return LoggedExplainedAnswer.model_construct(**dict(answer), impression=identity)
        items = [Item.model_construct(item_id=item, score=scores[item]) for item in draft.items]
        return LoggedAnswer.model_construct(**dict(answer) | {"items": items}, impression=identity)

    def feedback(self, sent: Feedback) -> FeedbackState:
        """Log what somebody did with an item of a list; once, however often it is sent.

        Raises:
            RefusedError: 404, no server of this log has issued the id of the list; 422, the item was not in it.
        """
        if not self._writer.pseudonyms.issued(sent.impression):
            raise RefusedError(
                404,
                f"impression {shortened(sent.impression)} is not known: send the `impression` of the answer that was "
                "shown, from servers with the same --log.",
            )
        shown = self._recent.get(sent.impression)  # None: another server's, or one of long ago
        if shown is not None and sent.item_id not in shown.items:
            raise RefusedError(422, f"Item {shortened(sent.item_id)} was not in the list of {sent.impression}.")
        if shown is not None and (sent.item_id, sent.event) in shown.events:
            return FeedbackState(status="already logged")
        if shown is not None:
            shown.events.add((sent.item_id, sent.event))
        self._add("feedback", sent.model_dump())
        return FeedbackState(status="logged")

    async def watch(self) -> None:
        """End the interleaving once the challenger is shown to be worse; until cancelled."""
        while self.challenger is not None:
            await asyncio.to_thread(self.stop_if_worse)
            await asyncio.sleep(CHECK_SECONDS)

    def stop_if_worse(self) -> None:
        """Go on with the champion alone if the log shows, at 95 %, that the challenger wins fewer clicks."""
        if self.challenger is None:
            return
        names = self._service.model.origin.label, self.challenger.origin.label
        try:
            found = evaluate(self._writer.folder, CLICK).pairs.get(names)
        except BakeoffError as error:
            log.error("whether %s is worse can't be looked up: %s", names[1], error)
            return
        if found is not None and (rate := found.win_rate(0.95)).finding == "worse":
            self.challenger = None
            log.warning(
                "%s wins %d of %d decided lists and is worse (95 %% interval up to %.1f %%): it is shown no more, and "
                "%s answers alone. `bakeoff online` has the figures.",
                *(names[1], rate.wins, rate.decided, 100 * rate.high, names[0]),
            )

    def close(self) -> None:
        """Write what waits."""
        self._writer.close()

    def _add(self, table: str, row: dict[str, Any]) -> None:
        LOGGED.labels(table).inc()
        self._writer.add(table, row | {"time": datetime.now(UTC)})

    def _remember(self, impression: str, items: Sequence[str]) -> None:
        self._recent[impression] = _Shown(tuple(items))
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
