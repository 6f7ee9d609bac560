"""The verdict on all tables: as JSON, and in sentences."""

from collections.abc import Mapping
from typing import Any

from bakeoff.core.errors import visible
from bakeoff.data.validate.quarantine import CheckedTable

EXAMPLES = 2
TOP_REASONS = 3
SHOWN_CHARACTERS = 120


def as_json(verdicts: Mapping[str, CheckedTable], max_share: float) -> dict[str, Any]:
    """The content of validation.json: the same for the same input, of plain values.

    Args:
        verdicts: of each table, by name.
        max_share: largest share of a table's rows that may be in quarantine.
    """
    return {
        "success": not excesses(verdicts, max_share),
        "tables": {name: _table(verdict) for name, verdict in verdicts.items()},
        "messages": [_sentence(name, verdict, max_share) for name, verdict in verdicts.items()],
    }


def excesses(verdicts: Mapping[str, CheckedTable], max_share: float) -> list[str]:
    """A paragraph per table with more than `max_share` in quarantine: share, top reasons, examples."""
    return [
        _sentence(name, verdict, max_share) + "".join(_reason_lines(verdict))
        for name, verdict in verdicts.items()
        if verdict.share > max_share
    ]


def _table(verdict: CheckedTable) -> dict[str, Any]:
    return {
        "rows": verdict.num_rows,
        "valid": verdict.num_rows - verdict.num_quarantined,
        "quarantined": verdict.num_quarantined,
        "share": verdict.share,
        "reasons": verdict.reasons,
        "expectations": [
            {
                "expectation": outcome.check.sentence,
                "severity": outcome.check.severity,
                "success": outcome.success,
                "unexpected": len(outcome.rows),
            }
            for outcome in verdict.outcomes
        ],
    }


def _sentence(name: str, verdict: CheckedTable, max_share: float) -> str:
    rows, bad = verdict.num_rows, verdict.num_quarantined
    if not bad:
        return f"{name}: all {rows:,} rows are valid."
    text = f"{name}: {bad:,} of {rows:,} rows ({verdict.share:.2%}) went to quarantine"
    return text + (f", more than {max_share:.2%}." if verdict.share > max_share else ".")


def _reason_lines(verdict: CheckedTable) -> list[str]:
    reasons = verdict.reason_of
    lines = []
    for reason, count in list(verdict.reasons.items())[:TOP_REASONS]:
        lines.append(f"\n  {count:,} × {reason}, such as")
        of_reason = reasons.index[reasons.str.contains(reason, regex=False)][:EXAMPLES]
        lines += [f"\n    line {_example(row)}" for row in verdict.examples(of_reason.tolist())]
    others = len(verdict.reasons) - TOP_REASONS
    return lines + ([f"\n  and {others} more reasons"] if others > 0 else [])


def _example(row: dict[str, Any]) -> str:
    line = row.pop("row")
    del row["reason"]
    text = visible(", ".join(f"{name}={value}" for name, value in row.items()))
    return f"{line}: {text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + '…'}"
