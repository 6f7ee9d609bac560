"""Time of the paired bootstrap and the sign-flip test for all metrics and pairs, and of `scipy.stats.bootstrap`.

    python benchmarks/significance.py
    python benchmarks/significance.py --portions 10000000

Made differences of 12 metrics and 3 pairs of models (36 columns), 10,000 resamples. SciPy draws the same kind of
interval (percentile, of the mean); it takes as many resamples as keep it to some seconds, and its time is scaled up to
all of them. Whoever is measured takes turns; medians. With --portions so many users come in portions instead, as from
a file, and what is printed is time and peak memory.
"""

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from harness.pages import Page, show
from numpy.typing import NDArray
from scipy import stats

from bakeoff.core.cost import own_peak_memory_bytes
from bakeoff.evaluation.stats.intervals import intervals
from bakeoff.evaluation.stats.significance import sign_flip_p

USERS = (1_000, 10_000, 100_000)
PORTION = 1 << 16
COLUMNS = 12 * 3
RESAMPLES = 10_000
BOOTSTRAP, SIGN_FLIPS, PEER = "bootstrap", "sign flips", "SciPy's bootstrap"

PEER_VALUES = 3 * 10**8
"""Users × columns × resamples that SciPy is given."""

PEER_BATCH_VALUES = 2 * 10**7
"""Of which it holds this many at once: 160 MB."""


def differences(num_users: int) -> NDArray[np.float64]:
    """Of metrics in [0, 1]; two users in three have the same from both models."""
    rng = np.random.default_rng(num_users)
    values = rng.normal(0.01, 0.3, (num_users, COLUMNS)).clip(-1, 1)
    return np.where(rng.random(values.shape) < 2 / 3, 0, values)


def measured(task: Callable[[], object], factor: float = 1) -> tuple[float, float]:
    """Wall and CPU seconds, times the factor."""
    wall, cpu = time.perf_counter(), time.process_time()
    task()
    return factor * (time.perf_counter() - wall), factor * (time.process_time() - cpu)


def peer(values: NDArray[np.float64]) -> tuple[float, float]:
    """SciPy, on as many resamples as PEER_VALUES allows."""
    resamples = max(10, min(RESAMPLES, PEER_VALUES // values.size))
    batch = max(1, PEER_BATCH_VALUES // values.size)

    def resample() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stats.bootstrap(
                (values,), np.mean, n_resamples=resamples, batch=batch, axis=0, vectorized=True, method="percentile"
            )

    return measured(resample, RESAMPLES / resamples)


def times(num_users: int, repeats: int) -> dict[str, tuple[float, float]]:
    """Median wall and CPU seconds of each, after a turn that does not count, in which code is loaded."""
    values = differences(num_users)
    tasks: dict[str, Callable[[], tuple[float, float]]] = {
        BOOTSTRAP: lambda: measured(lambda: intervals(values, np.random.default_rng(0), resamples=RESAMPLES)),
        SIGN_FLIPS: lambda: measured(lambda: sign_flip_p(values, np.random.default_rng(0), resamples=RESAMPLES)),
        PEER: lambda: peer(values),
    }
    intervals(values[:, :1], np.random.default_rng(0))
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            found[name].append(task())
    return {name: (median(t[0] for t in turns), median(t[1] for t in turns)) for name, turns in found.items()}


def in_portions(num_users: int, columns: int, resamples: int) -> dict[str, Any]:
    """What bootstrap and sign flips take where users are made, and never held, 65,536 at a time."""

    def portions() -> Iterator[NDArray[np.float64]]:
        rng = np.random.default_rng(0)
        for start in range(0, num_users, PORTION):
            yield rng.normal(0.001, 0.3, (min(PORTION, num_users - start), columns))

    before = own_peak_memory_bytes()
    drawn = measured(lambda: intervals(portions, np.random.default_rng(0), resamples=resamples))
    flips = measured(lambda: sign_flip_p(portions, np.random.default_rng(0), resamples))
    return {
        "users": num_users,
        "portion": PORTION,
        "columns": columns,
        "resamples": resamples,
        "intervals": drawn,
        "sign_flips": flips,
        "memory_bytes": own_peak_memory_bytes(),
        "memory_before_bytes": before,
    }


def markdown_of_portions(page: Page) -> str:
    """The page of figures of `in_portions`."""
    wall, cpu = page["intervals"]
    flips, flips_cpu = page["sign_flips"]
    memory, before = (page[name] / 2**30 for name in ("memory_bytes", "memory_before_bytes"))
    return (
        f"# Bootstrap and sign flips in portions\n\nMade by `{page['command']}`.\n\n"
        f"{page['users']:,} users in portions of {page['portion']:,}, {page['columns']} columns, "
        f"{page['resamples']:,} resamples: intervals in {wall:.0f} s ({cpu:.0f} s of CPU), sign flips in {flips:.0f} s "
        f"({flips_cpu:.0f} s of CPU); peak memory {memory:.2f} GiB, of which {before:.2f} GiB for libraries. All "
        f"values at once would take {8 * page['users'] * page['columns'] / 2**30:.2f} GiB.\n"
    )


def markdown(page: Page) -> str:
    """The page of figures of `times`."""
    names = (BOOTSTRAP, SIGN_FLIPS, PEER)
    lines = [
        "| users | " + " | ".join(f"{name}, s | {name}, CPU s" for name in names) + " | SciPy ÷ bakeoff, CPU |",
        "|" + "---|" * (2 * len(names) + 2),
    ]
    for row in page["rows"]:
        users, found = row["users"], row["seconds"]
        cells = [f"{value:.2f}" for name in names for value in found[name]]
        ratio = found[PEER][1] / found[BOOTSTRAP][1]
        lines.append(f"| {users:,} | " + " | ".join(cells) + f" | {ratio:.0f} |")
    about = (
        f"{page['cores']} cores; {COLUMNS} columns (12 metrics of 3 pairs), {RESAMPLES:,} resamples and as many "
        "patterns of signs. Medians over turns. SciPy's time is scaled up from fewer resamples."
    )
    return f"# Bootstrap and sign flips\n\nMade by `{page['command']}`. {about}\n\n" + "\n".join(lines) + "\n"


def main() -> None:
    """Print the page; with --write, keep its figures and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, nargs="+", default=list(USERS))
    parser.add_argument("--repeats", type=int, default=3, help="turns (default: 3)")
    parser.add_argument("--write", type=Path, help="file for the figures: benchmarks/results/significance.json")
    parser.add_argument("--portions", type=int, metavar="USERS", help="users that come in portions, and nothing else")
    parser.add_argument("--columns", type=int, default=COLUMNS, help=f"of the portions (default: {COLUMNS})")
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help=f"of the portions (default: {RESAMPLES:,})")
    arguments = parser.parse_args()
    if arguments.portions:
        asked = {name: getattr(arguments, name) for name in ("portions", "columns", "resamples")}
        command = " ".join(
            ["python benchmarks/significance.py", *(f"--{name} {value}" for name, value in asked.items())]
        )
        show({"command": command} | in_portions(*asked.values()), markdown_of_portions, arguments.write)
        return
    page = {
        "command": f"python benchmarks/significance.py --repeats {arguments.repeats}",
        "cores": os.cpu_count(),
        "rows": [{"users": users, "seconds": times(users, arguments.repeats)} for users in arguments.users],
    }
    show(page, markdown, arguments.write)


if __name__ == "__main__":
    main()
