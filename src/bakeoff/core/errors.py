"""The one error that a person is meant to read."""


class BakeoffError(Exception):
    """Something a person can act on: the message names the value, the cause and the fix.

    The command line prints it without a trace and exits with status 1.
    """
