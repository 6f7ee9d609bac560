"""What was checked and what the report was made from, as tables of text."""

from collections.abc import Mapping
from typing import Any

from bakeoff.report import formats
from bakeoff.report.provenance import Provenance
from bakeoff.report.render.tables import Cell, Column, Table


def validation_table(validation: Mapping[str, Any]) -> Table:
    """Rows, valid rows and quarantined rows per table."""
    rows = [
        [
            Cell(name),
            Cell(formats.count(table["rows"])),
            Cell(formats.count(table["valid"])),
            Cell(formats.count(table["quarantined"])),
            Cell(formats.percent(table["share"], 2)),
        ]
        for name, table in validation["tables"].items()
    ]
    columns = [Column(label) for label in ("Table", "Rows", "Valid")]
    columns += [Column("Quarantined", "quarantine"), Column("Share")]
    return Table("Rows that were read and what became of them", columns, rows)


def reason_table(validation: Mapping[str, Any]) -> Table:
    """Quarantined rows by reason; empty where there are none."""
    rows = [
        [Cell(name), Cell(reason), Cell(formats.count(number))]
        for name, table in validation["tables"].items()
        for reason, number in sorted(table["reasons"].items(), key=lambda item: (-item[1], item[0]))
    ]
    return Table("Rows in quarantine by reason", [Column("Table"), Column("Reason", prose=True), Column("Rows")], rows)


def expectation_table(validation: Mapping[str, Any]) -> Table:
    """Every expectation with what it found."""
    rows = [
        [
            Cell(name),
            Cell(expectation["expectation"]),
            Cell(expectation["severity"]),
            Cell("met" if expectation["success"] else "not met", strong=not expectation["success"]),
            Cell(formats.count(expectation["unexpected"])),
        ]
        for name, table in validation["tables"].items()
        for expectation in table["expectations"]
    ]
    columns = [
        Column("Table"),
        *(Column(label, prose=True) for label in ("Expectation", "Severity", "Outcome")),
    ]
    columns.append(Column("Bad rows"))
    return Table("What was expected of the data", columns, rows)


def parameter_table(provenance: Provenance) -> Table:
    """Every parameter and its value."""
    rows = [[Cell(name), Cell(value)] for name, value in provenance.params.items()]
    return Table("params.yaml", [Column("Parameter"), Column("Value", prose=True)], rows)


def version_table(provenance: Provenance) -> Table:
    """Packages and their versions."""
    rows = [[Cell(name), Cell(value)] for name, value in provenance.versions.items()]
    return Table("Installed versions", [Column("Package"), Column("Version", prose=True)], rows)
