"""Results of a group of variants as they are written: tables per user and the JSON content."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from bakeoff.data.prepared.tables import Prepared
from bakeoff.evaluation.metrics.formulas import num_relevant
from bakeoff.evaluation.metrics.table import PerUser
from bakeoff.experiments.eval_set import Evaluated
from bakeoff.experiments.variants.experiment import VariantResult
from bakeoff.experiments.variants.protocol import VariantProtocol


def group_json(protocol: VariantProtocol) -> dict[str, Any]:
    """What variants.json says about the group itself."""
    group = protocol.group
    content: dict[str, Any] = {"group": group.name, "sentence": group.sentence}
    if group.left_out:
        content["left_out"] = dict(group.left_out)
    if len(protocol.new_items):
        truth = protocol.warm.truth
        content["new_items"] = {"items": len(protocol.new_items), "events": len(truth.items), "users": len(truth)}
    return content


def variant_user_table(prepared: Prepared, results: Sequence[VariantResult]) -> pa.Table:
    """One row per variant and warm user with truth; folding of the users who were sampled for it."""
    return pa.concat_tables(
        _table(
            prepared,
            each.metrics.warm,
            {**each.metrics.warm.accuracy, **each.metrics.among_new, **each.metrics.folding},
            {"variant": each.variant.name},
        )
        for each in results
    )


def variant_new_user_table(prepared: Prepared, results: Sequence[VariantResult]) -> pa.Table:
    """One row per variant, number of known interactions and new user; no rows where new users are not evaluated."""
    tables = [
        _table(
            prepared, found, found.accuracy, {"variant": each.variant.name, "first_interactions": count}, fallback=True
        )
        for each in results
        for count, found in each.metrics.new_users.items()
    ]
    if tables:
        return pa.concat_tables(tables)
    warm = results[0].metrics.warm
    return _table(prepared, warm, warm.accuracy, {"variant": "", "first_interactions": ""}, fallback=True).slice(0, 0)


def _table(
    prepared: Prepared, found: Evaluated, per_user: PerUser, names: Mapping[str, str], fallback: bool = False
) -> pa.Table:
    users = found.eval_set.users
    return pa.table(
        {
            **{name: pa.array([value] * len(users), pa.string()) for name, value in names.items()},
            "user_id": prepared.user_ids(users),
            **({"fallback": found.fallback} if fallback else {}),
            "num_test": num_relevant(found.eval_set.truth),
            **per_user,
        }
    )
