"""`make down`, its last step: end runs that outlived their worker, and their stages.

A stage leads a session of its own, and a worker or a run that is killed leaves it running, unknown to supervisord.
Such processes are found by a variable that it gives to its programs, since children inherit it.
"""

import sys
from collections.abc import Iterator
from contextlib import suppress

import psutil

MARK = "BAKEOFF_SUPERVISED"
"""Environment variable of every process of a stack; its value is the stack's directory."""
GRACE_SECONDS = 10.0


def processes(stack: str) -> Iterator[psutil.Process]:
    """Processes that the programs of a stack have started."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == stack:
                yield process


def main() -> None:
    """SIGTERM, and SIGKILL to what is left after the grace period."""
    left = list(processes(sys.argv[1]))
    for process in left:
        with suppress(psutil.Error):
            process.terminate()
    for process in psutil.wait_procs(left, timeout=GRACE_SECONDS)[1]:
        with suppress(psutil.Error):
            process.kill()
    if left:
        print(f"Ended {len(left)} processes of runs.")


if __name__ == "__main__":
    main()
