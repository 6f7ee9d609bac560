"""Messages about nights and promotions: a notification block and an automation on the Prefect server.

The address is in BAKEOFF_NOTIFY, in the form of Apprise: slack://…, mailto://…, json://… Repeating this does no harm.
"""

import asyncio
import logging
import os
import sys
from typing import Any
from uuid import UUID

import apprise
from prefect.automations import Automation
from prefect.blocks.notifications import SlackWebhook
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import EventTrigger

NAME = "Send a message when a night or a promotion ends"
BLOCK = "bakeoff-notify"
FLOWS = ["nightly", "promote"]
STATES = ("Completed", "Failed", "Crashed", "Cancelled")
"""Names of final states. A night without anything new is Unchanged, and a promotion that is declined Not approved."""


def automation(block: UUID) -> Automation:
    """A message when a run of the two flows ends.

    Args:
        block: Id of the notification block's document.
    """
    return Automation(
        name=NAME,
        trigger=EventTrigger(
            expect={f"prefect.flow-run.{state}" for state in STATES},
            match_related={"prefect.resource.role": "flow", "prefect.resource.name": FLOWS},
        ),
        actions=[
            SendNotification(
                block_document_id=block,
                subject="Bakeoff: {{ flow_run.name }} ended as {{ flow_run.state.name }}",
                body="{{ flow_run.state.message }}\n\n"
                "`bakeoff status` says what is in production; docs/runbook.md, what to do.",
            )
        ],
    )


def main() -> None:
    """Save the address, encrypted, and create the automation unless the server has it."""
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its messages quote the address, which holds secrets
    address = os.environ.get("BAKEOFF_NOTIFY")
    if not address:
        sys.exit("No message is sent: BAKEOFF_NOTIFY is not set.")
    if not apprise.Apprise().add(address):
        sys.exit("BAKEOFF_NOTIFY is not an address that Apprise knows, such as slack://…, mailto://… or json://…")
    # Of Prefect's blocks for Apprise this one takes any address, not only Slack's.
    block: Any = SlackWebhook(url=address).save(BLOCK, overwrite=True)
    try:
        asyncio.run(Automation.aread(name=NAME))
    except ValueError:  # there is none of this name
        asyncio.run(automation(block).acreate())


if __name__ == "__main__":
    main()
