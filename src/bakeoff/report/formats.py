"""Figures and lists as text for people, and the templates of sentences made from them."""

import math
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape

from bakeoff.evaluation.metrics.table import ACCURACY_LABELS
from bakeoff.report.models import model_label, model_noun

MINUS = "\N{MINUS SIGN}"
NO_VALUE = "\N{EN DASH}"


def sentence(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def within_sentence(text: str) -> str:
    """The text with its first letter in lower case, but for an abbreviation: `hit rate@10`, `NDCG@10`."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def listing(words: Sequence[str], last: str = "and") -> str:
    """`a, b and c`."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def metric_label(metric: str) -> str:
    """`hit_rate@10` → `Hit rate@10`."""
    name, _, cutoff = metric.partition("@")
    return f"{ACCURACY_LABELS.get(name, name)}@{cutoff}" if cutoff else ACCURACY_LABELS.get(name, name)


def decimal(value: float, digits: int = 4) -> str:
    """A figure with a fixed number of digits and a true minus; an en dash for NaN."""
    if math.isnan(value):
        return NO_VALUE
    return f"{value:z.{digits}f}".replace("-", MINUS)


def signed(value: float, digits: int = 4) -> str:
    """A difference: always with its sign, `±` for one that rounds to 0."""
    if math.isnan(value):
        return NO_VALUE
    text = f"{value:+z.{digits}f}".replace("-", MINUS)
    return text.replace("+", "±") if float(f"{value:.{digits}f}") == 0 else text


def percent(share: float, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage."""
    return NO_VALUE if math.isnan(share) else f"{decimal(100 * share, digits)} %"


def signed_percent(share: float, digits: int = 0) -> str:
    """A relative change as a percentage with its sign."""
    return NO_VALUE if math.isnan(share) else f"{signed(100 * share, digits)} %"


def p_value(p: float) -> str:
    """`p = 0.012`, or `p < 0.001`: smaller values can't be resolved by a permutation test."""
    if math.isnan(p):
        return f"p {NO_VALUE}"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def p_figure(p: float) -> str:
    """A p value without the letter, for a table."""
    return p_value(p).removeprefix("p ").removeprefix("= ")


def count(value: float) -> str:
    """A whole number with thin spaces between thousands."""
    if math.isnan(value):
        return NO_VALUE
    return f"{int(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def seconds(value: float) -> str:
    """A duration: 0.42 s, 12.3 s, 2 min 5 s, 1 h 4 min; an en dash for NaN."""
    if math.isnan(value):
        return NO_VALUE
    if value < 60:
        return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def duration(value: float) -> str:
    """A duration from microseconds up: 83 µs, 4.2 ms, 0.42 s."""
    if value < 1e-3:
        return f"{value * 1e6:.0f} µs"
    return f"{value * 1e3:.1f} ms" if value < 0.1 else seconds(value)


def megabytes(num_bytes: float) -> str:
    """A size in megabytes (10⁶ bytes) with a digit below 10, in gigabytes from 1,000 of them."""
    if math.isnan(num_bytes):
        return NO_VALUE
    size = num_bytes / 1e6
    if size < 10:
        return f"{size:.1f} MB"
    return f"{size:.0f} MB" if size < 1000 else f"{size / 1000:.2f} GB"


def times(ratio: float) -> str:
    """A ratio: `2.3 times`; an en dash for NaN."""
    if math.isnan(ratio):
        return NO_VALUE
    return f"{ratio:.1f} times" if ratio < 10 else f"{ratio:.0f} times"


def plain(value: object, digits: int = 6) -> str:
    """A setting or a feature: 24.0 is written 24, 0.0030000000000000001 is written 0.003, and 52000.0 all digits."""
    if not isinstance(value, float):
        return str(value)
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text else text


def level(confidence: float) -> str:
    """`95 %`, for the level of an interval."""
    return f"{100 * confidence:g} %"


@cache
def template_environment(**options: Any) -> Environment:
    """Templates that escape texts in HTML, refuse undefined names, and write numbers and models for people."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader("bakeoff.report.render"), PackageLoader("bakeoff.report", "topics")]),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
    numbers = (count, decimal, duration, level, p_value, percent, seconds, signed, signed_percent, times)
    words = (listing, metric_label, plain, sentence, within_sentence)
    made.filters.update({write.__name__: write for write in numbers + words})
    made.filters.update(model=model_label, noun=model_noun)
    made.tests["nan"] = math.isnan
    return made


def paragraphs(template: str, macro: str, **values: Any) -> list[str]:
    """The paragraphs that a macro of a template writes, each in one line."""
    text = str(getattr(template_environment().get_template(template).module, macro)(**values))
    blocks = ([line.strip(" ") for line in block.split("\n")] for block in re.split(r"\n *\n", text))
    return [" ".join(filter(None, lines)) for lines in blocks if any(lines)]


def phrase(template: str, macro: str, **values: Any) -> str:
    """All that a macro of a template writes, in one line."""
    return " ".join(paragraphs(template, macro, **values))
