"""The features of all users or items as numbers, on whatever engine: what models read."""

from collections.abc import Callable
from typing import Any

import ibis
import ibis.expr.types as ir

from bakeoff.data.features.encoding import Encode, TableEncoding

Function = Callable[[Encode, str, str, str], Callable[[Any], Any]]
"""Makes a function of blocks one of columns: what it does, what it is called, what it takes, what it gives."""


def encoded_features(table: ir.Table, index: str, encoding: TableEncoding, function: Function) -> ir.Table:
    """One row per user or item.

    The functions that encode are those with which a server encodes a person whom no table has.

    Args:
        table: has the raw columns.
        index: name of the column with their index.
        encoding: as it was fitted.
        function: of the engine.

    Returns:
        the index, and a column per feature under its name: float32 where it is dense, int32 where it is categorical,
        list<int32> of tags and words; the columns of `EncodedFeatures`. No value is null.
    """
    columns = {}
    for number, (name, encode) in enumerate(encoding.encoders().items()):
        called = f"encoded_{index}_{number}"
        if name in encoding.dense:
            coded = function(encode, called, "float64", "float32")(table[name].cast("float64"))
            # An engine may not ask a function about a value that is null. The mean is 0; as a plain literal it would be
            # a double to Spark, and the column too.
            columns[name] = coded.fill_null(ibis.literal(0).cast("float32"))
        else:
            kind = "int32" if name in encoding.categorical else "array<int32>"
            columns[name] = function(encode, called, "string", kind)(table[name].cast("string").fill_null(""))
    return table.select(index, **columns)
