"""The command line: commands by subject.

Each command imports what it calls when it is called: TensorFlow alone takes seconds that `--help` must not cost.
"""

import typer

from bakeoff.cli import data_and_models, init, operations, report

app = typer.Typer(
    help="Matrix factorisation or a softmax DNN? Measured on your own interaction data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for each in (init, data_and_models, report, operations):
    app.add_typer(each.app)
