"""The project's stages, perhaps sabotaged: a program of `forking`."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any


def run(command: dict[str, Any]) -> None:
    """`bakeoff` with these arguments, perhaps sabotaged."""
    import saboteur

    from bakeoff import cli
    from bakeoff.experiments.training import checkpoints

    sys.argv = ["bakeoff", *command["arguments"]]
    do_less()
    # None unless asked for, on a busy machine too.
    checkpoints.SECONDS_BETWEEN = command.get("checkpoint_seconds", 3600)
    saboteur.install(command)
    cli.main()


def do_less() -> None:
    """Less of the same: the base of each group of variants alone, few measurements, and none in a new process."""
    import tensorflow

    from bakeoff.experiments import growth, latency, sampler_bias
    from bakeoff.experiments.planted import measure as planted
    from bakeoff.experiments.variants import protocol as variants
    from bakeoff.stages import unbiasedness

    variants.make_group = bases_of(variants.make_group)
    contenders = planted.planted_contenders
    planted.planted_contenders = lambda *arguments: contenders(*arguments)[:1]
    growth.run_alone = lambda tasks: [task() for task in tasks]
    growth.SECONDS_PER_FIT = growth.SECONDS_PER_CATALOGUE = 0.0
    latency.CALLS = {1: 2, 256: 2}
    latency.WARM_UP_CALLS = 1
    unbiasedness.run.__defaults__ = (3, 2)
    sampler_bias.CASES = {"full": sampler_bias.CASES["full"]}
    tensorflow.config.run_functions_eagerly(sys.argv[1] not in ("planted", "unbiasedness"))


def bases_of(make: Callable[..., Any]) -> Callable[..., Any]:
    """What makes a group, but for variants that differ from what is shipped."""

    def made(*arguments: Any) -> Any:
        group = make(*arguments)
        return replace(group, variants=tuple(each for each in group.variants if each.base))

    return made
