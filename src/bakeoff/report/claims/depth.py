"""Claim 8: deeper and wider towers express more, train harder and serve dearer."""

from bakeoff.report import formats
from bakeoff.report.claims.caveats import of_variants
from bakeoff.report.claims.claim import Asked, Expected, Form, Paired, Question, Unknown, Words, repeated
from bakeoff.report.evidence import Evidence
from bakeoff.report.measured import Skipped, Variant, VariantGroup, paired, repeated_figure
from bakeoff.report.params import ReportParams
from bakeoff.report.variants import Tower, towers

EPOCH = "CPU time of an epoch (median)"
NO_PAIR = "No two towers differ in it alone."


def ask(evidence: Evidence, params: ReportParams) -> Asked:
    """The deepest tower against none, the widest against the narrowest; quality, then cost of the deepest."""
    group = evidence.measured.group("depth")
    metric = params.compare.primary_metric
    return Asked(
        key="depth",
        title="Depth and width",
        words="Deeper and wider towers express more, are harder to train and dearer to serve.",
        section="depth",
        questions=_skipped(group) if isinstance(group, Skipped) else _questions(group, params, metric),
    )


def _skipped(group: Skipped) -> list[Question]:
    return [Unknown(Words("deep", "Deeper towers rank better", "quality", "", ""), group.reason)]


def _questions(group: VariantGroup, params: ReportParams, metric: str) -> list[Question]:
    found = towers(group, params)
    by_depth, by_width = deepest_and_shallowest(found), widest_and_narrowest(found)
    label = formats.metric_label(metric)
    quality = [
        _quality(group, "deep", "Deeper towers rank better", label, by_depth, metric),
        _quality(group, "wide", "Wider towers rank better", label, by_width, metric),
    ]
    return [
        *of_variants(quality, params),
        _cost(group, "epoch", "Depth makes an epoch dearer", EPOCH, by_depth, "epoch_cpu_seconds"),
        _cost(group, "wide_epoch", "Width makes an epoch dearer", EPOCH, by_width, "epoch_cpu_seconds"),
        _cost(
            group,
            "queries",
            "Depth makes serving dearer",
            "queries per CPU second, embedded and ranked (median)",
            by_depth,
            "queries_per_cpu_second",
        ),
    ]


def deepest_and_shallowest(found: list[Tower]) -> tuple[Tower, Tower] | None:
    """The deepest tower, the widest of them, and the shallowest; None where all are as deep."""
    if not found:
        return None
    deep, shallow = max(found, key=lambda t: (t.depth, t.width)), min(found, key=lambda t: (t.depth, t.width))
    return (deep, shallow) if deep.depth > shallow.depth else None


def widest_and_narrowest(found: list[Tower]) -> tuple[Tower, Tower] | None:
    """Two towers of the same depth, the greatest at which widths differ; None without such a depth."""
    for depth in sorted({tower.depth for tower in found if tower.depth}, reverse=True):
        same = sorted((tower for tower in found if tower.depth == depth), key=lambda tower: tower.width)
        if same[0].width < same[-1].width:
            return same[-1], same[0]
    return None


def _quality(
    group: VariantGroup, key: str, says: str, measured: str, pair: tuple[Tower, Tower] | None, metric: str
) -> Question:
    if pair is None:
        return Unknown(Words(key, says, measured, "", ""), NO_PAIR)
    first, second = (tower.variant for tower in pair)
    words = _words(key, says, measured, first, second)
    values = paired(group.values(first["name"], metric), group.values(second["name"], metric))
    return Paired(words, *values, Expected.LARGER)


def _cost(
    group: VariantGroup, key: str, says: str, measured: str, pair: tuple[Tower, Tower] | None, figure: str
) -> Question:
    if pair is None:
        return Unknown(Words(key, says, measured, "", ""), NO_PAIR)
    first, second = (tower.variant for tower in pair)
    is_rate = figure == "queries_per_cpu_second"
    return repeated(
        _words(key, says, measured, first, second),
        repeated_figure(group.cost.get(first["name"]), figure),
        repeated_figure(group.cost.get(second["name"]), figure),
        Expected.SMALLER if is_rate else Expected.LARGER,
        Form.RATE if is_rate else Form.SECONDS,
        repeats="asked again and again" if is_rate else "the epochs of one training each",
    )


def _words(key: str, says: str, measured: str, first: Variant, second: Variant) -> Words:
    return Words(key, says, measured, str(first["label"]), str(second["label"]))
