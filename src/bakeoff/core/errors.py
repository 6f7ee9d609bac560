"""Errors that a person can act on, and text that a terminal shows safely."""

import errno
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from reprlib import Repr


class BakeoffError(Exception):
    """An error that a person can act on: the message names the value, the cause and the fix.

    The command line prints it without a traceback and exits with `status`.
    """

    status: int | None = 1


def first_line(error: BaseException) -> str:
    """What an error says, without the lines after the first, which may be many or not be for people."""
    text = next(iter(str(error).splitlines()), "no reason given")
    if callable(faults := getattr(error, "errors", None)):  # pydantic's, whose first line counts them
        text = str(faults()[0]["msg"])
    # Both say what is missing and nothing else; Arrow's errors, unlike the system's, have no number.
    is_name = isinstance(error, KeyError) or (isinstance(error, FileNotFoundError) and error.errno is None)
    return f"{text} is missing" if is_name else text


@contextmanager
def reading(what: object, remedy: str, *errors: type[Exception]) -> Iterator[None]:
    """Replace errors by a message for people.

    Args:
        what: is read, such as a path.
        remedy: what to do, a sentence without its full stop.
        errors: classes of those that say that it can't be read; others pass unchanged.

    Raises:
        BakeoffError: it can't be read.
    """
    try:
        yield
    except errors as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        named = str(getattr(error, "filename", None) or what)
        which = "" if named in str(what) or str(what) in named else f": {named}"
        raise BakeoffError(f"{what} can't be read ({reason}{which}): {remedy}.") from None


def denied_access(error: OSError) -> BakeoffError | None:
    """What to say where the system refuses to read or write a path; None for any other error."""
    if not isinstance(error, PermissionError) and error.errno != errno.EROFS:
        return None
    return BakeoffError(
        f"{error.filename or 'A file of the workspace'} can't be read or written ({error.strerror}): run bakeoff as a "
        "user who may write in this directory, on a file system that is not mounted read-only."
    )


_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Categories of characters that control, format or break lines; some hide or reorder text on a terminal."""


LONGEST_SHOWN = 80
"""Characters of a value that somebody sent, in a message about it."""

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = LONGEST_SHOWN
shortened = _SHORT.repr
"""`repr`, shortened to LONGEST_SHOWN characters."""


def visible(text: str) -> str:
    r"""The text in one line, with control, format and line-breaking characters as escapes such as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(ascii(char)[1:-1] if unicodedata.category(char) in _HIDDEN else char for char in text)
