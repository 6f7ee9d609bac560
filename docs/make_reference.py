"""Writes docs/reference from what it describes: parameter models, the command line, dvc.yaml.

`python docs/make_reference.py` writes the pages again; tests/test_docs.py fails while they are not current.
"""

import inspect
import re
from collections.abc import Iterable, Iterator
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from bakeoff.cli.app import app
from bakeoff.cli.params_help import describe
from bakeoff.core.parameters import read_yaml
from bakeoff.params import Params

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs/reference"
WORKSPACE = ROOT / "src/bakeoff/ops/workspace_files/tree/README.md"
NOTE = "<!-- Written by docs/make_reference.py: edit what it describes, then run it. -->"


def params_page() -> str:
    """Every parameter with its default, limits and meaning, a table per section of params.yaml."""
    lines = [
        "# Parameters",
        NOTE,
        "`params.yaml` holds every setting that changes a result. A key that is not there has its default. "
        "`bakeoff params` prints the values of a workspace; `dvc exp run -S ++softmax.dim=32` "
        "tries another one (`++`: also where the file does not have the key).",
    ]
    defaults = Params()
    for section, rows in groupby(describe(defaults), lambda row: row.name.partition(".")[0]):
        lines += [f"## {section}"]
        if section != "seed" and (doc := _first_sentence(type(getattr(defaults, section)))):
            lines += [doc]
        lines += [
            _table(
                ("parameter", "default", "must be", "meaning"),
                ((_code(row.name), _code(row.value), row.limits, row.meaning) for row in rows),
            )
        ]
    return _page(lines)


def commands_page() -> str:
    """Every command with its arguments and options."""
    lines = [
        "# Commands",
        NOTE,
        "`bakeoff COMMAND --help` prints the same. Commands work in the current directory, which must be a workspace: "
        "`bakeoff init` makes one. Errors go to standard error, with an exit status other than 0.",
    ]
    group: Any = typer.main.get_command(app)
    within = {
        name: {f"{name} {inner}": each for inner, each in getattr(command, "commands", {}).items()} or {name: command}
        for name, command in group.commands.items()
    }
    for name, command in (each for commands in within.values() for each in commands.items()):
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        options = ["[OPTIONS]"] if len(arguments) < len(command.params) else []
        shown = (_placeholder(each) if each.required else f"[{_placeholder(each)}]" for each in arguments)
        usage = " ".join(["bakeoff", name, *options, *shown])
        lines += [f"## bakeoff {name}", f"```text\n{usage}\n```", inspect.cleandoc(command.help or "")]
        described = [_parameter(each) for each in command.params if not each.hidden]
        if described:
            lines += [_table(("argument or option", "default", "meaning"), described)]
    return _page(lines)


def files_page() -> str:
    """Every stage of dvc.yaml with what it reads and writes."""
    stages = read_yaml((ROOT / "dvc.yaml").read_bytes(), "dvc.yaml")["stages"]
    lines = [
        "# Files and stages",
        NOTE,
        "## The workspace",
        "What `bakeoff init` writes, and what is added later:",
        "\n".join(line for line in WORKSPACE.read_text(encoding="utf-8").splitlines() if line.startswith("|")),
        "Git keeps all of it. DVC keeps `data/` and what the stages write, in its cache and its remotes, except for "
        "what is marked *Git* below.",
        "The sections below are the stages of `dvc.yaml`, in its order. Each also depends on the code that it runs: on "
        "packages in a checkout of Bakeoff, on the installed version in a workspace of `bakeoff init`.",
    ]
    for name, stage in stages.items():
        keys = list(stage.get("foreach", ()))
        body = stage.get("do", stage)
        placeholder = "GROUP" if name == "variants" else "MODEL"
        lines += [f"## {name}@{placeholder}" if keys else f"## {name}", body["desc"]]
        if keys:
            lines += [f"{placeholder} is one of {_codes(keys)}."]
        rows = [
            ("runs", _code(body["cmd"])),
            ("reads", _codes(path for path in body["deps"] if not path.startswith("src/"))),
            ("parameters", _stage_params(body, stage.get("foreach", {}))),
            ("writes", ", ".join(_outputs([*body.get("outs", ()), *body.get("metrics", ())]))),
        ]
        table = _table(("", ""), [row for row in rows if row[1]])
        lines += [re.sub(r"\$\{key\}", placeholder, table)]
    return _page(lines)


PAGE_MAKERS = {"params.md": params_page, "commands.md": commands_page, "files.md": files_page}


def _stage_params(body: dict[str, Any], each: dict[str, dict[str, str]]) -> str:
    # A file whose whole content is a parameter is a mapping: {parents.json: null}.
    named = [file for name in body.get("params", []) for file in ([name] if isinstance(name, str) else name)]
    own = [name for name in named if not name.startswith("${")]
    fields = [name[len("${item.") : -1] for name in named if name.startswith("${item.")]
    more = dict.fromkeys(item[field] for item in each.values() for field in fields if item[field] not in own)
    return _codes(own) + (f"; some of them also {_codes(more)}" if more else "")


def _outputs(outs: Iterable[str | dict[str, dict[str, bool]]]) -> Iterator[str]:
    for out in outs:
        if isinstance(out, str):
            yield _code(out)
        else:
            for path, options in out.items():
                yield _code(path) + (" (*Git*)" if options.get("cache") is False else "")


def _parameter(each: Any) -> tuple[str, str, str]:
    """Its names, its default and its help."""
    if each.param_type_name == "argument":
        return _code(_placeholder(each)), "required" if each.required else "", each.help or ""
    names = ", ".join(map(_code, [*each.opts, *each.secondary_opts]))
    if not each.is_flag:
        names += f" {_code(_placeholder(each))}"
    default = "" if each.default in {None, False} else _code(str(each.default))
    return names, "required" if each.required else default, each.help or ""


def _placeholder(each: Any) -> str:
    """What stands for a value: DIR, `on|off`, or the type."""
    if each.metavar:
        return str(each.metavar)
    if each.param_type_name == "argument":
        return str(each.name).upper()
    kind = each.type_descriptor.annotation
    options = get_args(kind) if get_origin(kind) is Literal else ()
    return "|".join(options) or {float: "NUMBER", int: "INTEGER"}.get(kind, "TEXT")


def _first_sentence(described: type) -> str:
    return (inspect.getdoc(described) or "").partition("\n\n")[0].replace("\n", " ")


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _codes(texts: Iterable[str]) -> str:
    return ", ".join(map(_code, texts))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    cells = ([_cell(" ".join(cell.split())) for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _cell(text: str) -> str:
    """A bar would end the cell, and in code MkDocs shows the backslash that GitHub needs before it."""
    text = re.sub(r"`([^`]*\|[^`]*)`", lambda found: f"<code>{escape(found[1])}</code>", text)
    return text.replace("|", "&#124;")


def _page(lines: list[str]) -> str:
    return "\n\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    for file, make in PAGE_MAKERS.items():
        (PAGES / file).write_text(make(), encoding="utf-8")
