"""A message to the people who look after the pipeline: by whatever Apprise can reach (chat, mail, a webhook).

A program too, to see whether messages arrive, and for those who are no flow: `python flows/notify.py TITLE BODY`.
"""

import logging
import sys
from argparse import ArgumentParser

import apprise

from secret import read_secret

VARIABLE = "BAKEOFF_NOTIFY"
BLOCK = "bakeoff-notify"
"""Environment variable, or Prefect Secret block, with an address of Apprise: `slack://…`, `mailto://…`, `jsons://…`."""

Log = logging.Logger | logging.LoggerAdapter[logging.Logger]


class NotifyError(Exception):
    """The message did not get through."""


def send(title: str, body: str) -> bool:
    """Send a message to the address that is configured.

    Args:
        title: one line.
        body: Markdown.

    Returns:
        whether there is an address.

    Raises:
        NotifyError: the address makes no sense, or whoever is there does not take the message. Does not name the
            address, which holds secrets.
    """
    address = read_secret(VARIABLE, BLOCK)
    if address is None:
        return False
    channel = apprise.Apprise()
    if not channel.add(address):
        raise NotifyError(
            f"{VARIABLE} holds no address that Apprise understands, such as slack://…, mailto://… or json://…"
        )
    if not channel.notify(title=title, body=body, body_format=apprise.NotifyFormat.MARKDOWN):
        raise NotifyError(f"The message {title!r} was not taken by the address in {VARIABLE}")
    return True


def tell(title: str, body: str, log: Log) -> None:
    """The same from within a run, as the last thing it does: a message that fails is logged and fails nothing."""
    try:
        if not send(title, body):
            log.info("Nobody is told: %s is not set.", VARIABLE)
    except NotifyError as error:
        log.error("%s", error)


def main() -> None:
    """Send the message of the command line."""
    parser = ArgumentParser(description=f"Send a message to the address of Apprise in {VARIABLE}.")
    parser.add_argument("title", nargs="?", default="Bakeoff", help="one line (default: Bakeoff)")
    parser.add_argument("body", nargs="?", default="This is a test.", help="Markdown (default: that it is a test)")
    arguments = parser.parse_args()
    try:
        sent = send(arguments.title, arguments.body)
    except NotifyError as error:
        sys.exit(f"error: {error}")
    print("Sent." if sent else f"Nobody is told: {VARIABLE} is not set, and there is no Secret block {BLOCK}.")


if __name__ == "__main__":
    main()
