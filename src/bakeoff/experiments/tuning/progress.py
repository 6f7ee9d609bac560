"""What a person sees of a study: a bar in a terminal, lines elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from bakeoff.experiments.tuning.study import Study, Told, Tried


@contextmanager
def shown(study: Study, model: str, trials: int) -> Iterator[Told]:
    """Show the trials passing; what this gives is told of each."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not sys.stderr.isatty(),
        transient=True,
    )
    with bar:
        task = bar.add_task(model, total=trials, completed=len(study.tried()))

        def told(tried: Tried) -> None:
            best = study.best()
            so_far = (
                "no best yet" if best is None or best.value is None else f"best {best.value:.4f}, trial {best.number}"
            )
            bar.update(task, completed=len(study.tried()), description=f"{model}: {so_far}")
            line = f"{model}: trial {tried.number} {outcome(tried)} in {tried.seconds:.1f} s ({so_far})"
            if bar.disable:
                print(line, flush=True)
            else:
                bar.console.print(Text(line))

        yield told


def outcome(tried: Tried) -> str:
    """A trial in a few words: `0.2077 at epoch 12`."""
    if tried.state == "failed":
        return f"failed ({tried.reason or 'its process was killed twice'})"
    score = "without a score" if tried.value is None else f"{tried.value:.4f}"
    epoch = "" if tried.epoch is None else f" at epoch {tried.epoch}"
    return f"{'pruned, ' if tried.state == 'pruned' else ''}{score}{epoch}"
