"""Stage `variants`: split → contenders with a few settings changed, trained, evaluated and compared."""

from collections.abc import Sequence
from functools import partial

import pyarrow.parquet as pq

from bakeoff.core.cost import measure
from bakeoff.core.files import replaced, write_json
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_held_out, load_prepared
from bakeoff.experiments.variants import measure as measuring
from bakeoff.experiments.variants.groups import STUDY, NothingToCompareError, check_group
from bakeoff.experiments.variants.protocol import VariantProtocol, protocol_of
from bakeoff.params import Params


def run(params: Params, workspace: Workspace, group: str) -> None:
    """Train the variants of a group, evaluate them and write the results.

    If there are more than `evidence.max_users` users, a seeded sample of them is used.

    Reads artifacts/split; writes artifacts/variants/<group> and artifacts/cost/variants/<group>.json, or for the
    study studies/<group>.json and studies/<group>_cost.json. A group with nothing to compare gives a variants.json
    with the reason and nothing else.

    Raises:
        BakeoffError: there is no such group, there is no split, there is nobody to evaluate on, or a variant can't be
            trained with its settings.
    """
    check_group(group)
    with measure(workspace, f"variants/{group}") as cost:
        prepared = load_prepared(workspace)
        try:
            protocol = protocol_of(params.experiments, group, prepared, partial(load_held_out, workspace, prepared))
        except NothingToCompareError as reason:
            cost.note(variants={})
            with replaced(workspace.variants(group)) as folder:
                write_json(folder / "variants.json", {"group": group, "skipped": str(reason)})
            print(f"{group} is skipped: {reason}")
        else:
            results = measuring.measure_variants(protocol)
            cost.note(variants={each.variant.name: each.cost for each in results})
            _write(workspace, protocol, results)
    if group == STUDY:
        workspace.cost(f"variants/{group}").replace(workspace.study / f"{group}_cost.json")


def _write(workspace: Workspace, protocol: VariantProtocol, results: Sequence[measuring.VariantResult]) -> None:
    """Write all files of a group at once; those of the study go to Git, so without tables per user."""
    group, content = protocol.group, measuring.group_json(protocol)
    if group.name == STUDY:
        entries = measuring.with_intervals(results, group.shipped.compare, group.shipped.seed)
        write_json(workspace.study / f"{group.name}.json", content | {"variants": entries})
        return
    with replaced(workspace.variants(group.name)) as folder:
        pq.write_table(measuring.variant_user_table(protocol.prepared, results), folder / "users.parquet")
        pq.write_table(measuring.variant_new_user_table(protocol.prepared, results), folder / "new_users.parquet")
        write_json(folder / "variants.json", content | {"variants": [each.entry for each in results]})
