"""Errors that a person can act on."""

import errno


class BakeoffError(Exception):
    """An error that a person can act on: the message names the value, the cause and the fix.

    The command line prints it without a traceback and exits with `status`.
    """

    status: int | None = 1


_DENIED = (errno.EROFS, errno.EACCES, errno.EPERM)


def denied_access(error: OSError) -> BakeoffError | None:
    """What to say where the system refuses to read or write a path; None for any other error."""
    if error.errno not in _DENIED:
        return None
    return BakeoffError(
        f"{error.filename or 'A file of the workspace'} can't be read or written ({error.strerror}): run bakeoff as a "
        "user who may write in this directory, on a file system that is not mounted read-only."
    )
