"""Tasks that a process of its own can import."""

import os
import time
from pathlib import Path

from bakeoff.core.errors import BakeoffError


def pid():
    return os.getpid()


def refuse():
    raise BakeoffError("Too large.")


def die():
    os._exit(3)


def sleep():
    """Say who sleeps, for a minute."""
    Path(os.environ["SLEEPER"]).write_text(str(os.getpid()), encoding="utf-8")
    time.sleep(60)


def number_and_threads(number):
    return number, os.environ["OMP_NUM_THREADS"], os.getpid()


def sleep_from_one(number):
    """Who it is; from number 1 on, after a minute."""
    time.sleep(60 * number)
    return os.getpid()


def fall_over(_):
    os._exit(3)
