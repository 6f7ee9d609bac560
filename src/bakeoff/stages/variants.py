"""Stage `variants`: split → contenders with a few settings changed, trained, asked, and compared with one another."""

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import track

from bakeoff.core.cost import measure
from bakeoff.core.files import replaced, write_json
from bakeoff.core.histories import draw_users
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import Prepared, load_held_out, load_prepared
from bakeoff.evaluation.metrics.formulas import num_relevant
from bakeoff.evaluation.protocol import Recommendations
from bakeoff.evaluation.stats.timing_intervals import as_json, middle
from bakeoff.experiments.variants.cold_start_queries import PerUser, intervals_of
from bakeoff.experiments.variants.groups import STUDY, Data, Group, Skipped, check_group, make_group
from bakeoff.experiments.variants.protocol import Answered, Plan, plan_on_test, plan_on_validation
from bakeoff.experiments.variants.sample import held_out_of_users, of_how_many, of_users
from bakeoff.experiments.variants.variant import Variant
from bakeoff.params import Params


@dataclass(frozen=True)
class _Result:
    """A variant, its entry in the JSON file, what it answered, and what it cost."""

    variant: Variant
    entry: dict[str, Any]
    answered: Answered
    cost: dict[str, Any]


def run(params: Params, workspace: Workspace, group: str) -> None:
    """Train the variants of a group and ask them; write what they answered.

    Of more than `evidence.max_users` users a seeded sample is trained on and asked about.

    Reads artifacts/split; writes artifacts/variants/<group> and artifacts/cost/variants_<group>.json, or for the
    study studies/<group>.json and studies/<group>_cost.json. A group with nothing to compare gives a variants.json
    with the reason and nothing else.

    Raises:
        BakeoffError: there is no such group, there is no split, there is nobody to ask about, or a variant can't be
            trained with its settings.
    """
    check_group(group)
    with measure(workspace, f"variants_{group}") as cost:
        plan = _plan(params, workspace, group)
        if isinstance(plan, Skipped):
            cost.note(variants={})
            _write_skipped(workspace, group, plan.reason)
        else:
            results = _results(plan)
            cost.note(variants={each.variant.name: each.cost for each in results})
            _write(workspace, plan, results)
    if group == STUDY:
        workspace.cost(f"variants_{group}").replace(workspace.study / f"{group}_cost.json")


def _plan(params: Params, workspace: Workspace, name: str) -> Plan | Skipped:
    whole = load_prepared(workspace)
    users = draw_users(whole.num_users, params.evidence.max_users, params.seed)
    sampled = len(users) < whole.num_users
    prepared = of_users(whole, users) if sampled else whole
    lengths = prepared.train.lengths
    data = Data(
        user_features=prepared.user_features.num_features > 0,
        item_features=prepared.item_features.num_features > 0,
        num_items=prepared.num_items,
        events_per_user=float(lengths[lengths > 0].mean()),
    )
    group = make_group(name, params, data)
    if isinstance(group, Skipped):
        return group
    if sampled:
        group = replace(group, sentence=f"{group.sentence} {of_how_many(len(users), whole.num_users)}")
    if group.judged_on == "valid":
        return plan_on_validation(group, prepared)
    held_out = load_held_out(workspace, whole)
    return plan_on_test(group, prepared, held_out_of_users(held_out, users) if sampled else held_out)


def _results(plan: Plan) -> list[_Result]:
    """Train and ask one variant after the other; a line is printed of each."""
    from bakeoff.experiments.variants.training import (
        train,  # imports TensorFlow: what is wrong with the split is told before that
    )

    group, results = plan.group, []
    print(f"{group.name}: {len(group.variants)} variants")
    for variant in group.variants:
        start = time.perf_counter()
        trained = train(variant, variant.params(group.params), plan.prepared, _progress)
        answered = plan.ask(trained.retriever)
        entry = {
            "name": variant.name,
            "model": variant.model,
            "label": variant.label,
            "base": variant.base,
            "settings": dict(variant.settings),
            "selected_epoch": trained.selected_epoch,
            "num_parameters": trained.num_parameters,
            **answered.figures,
            "false_negatives_per_query": trained.false_negatives_per_query,
            "false_negatives_per_batch": trained.false_negatives_per_batch,
        }
        cost = {
            "training_seconds": trained.training_seconds,
            "seconds_per_epoch": trained.seconds_per_epoch,
            "seconds_per_step": trained.seconds_per_step,
            **_repeated("epoch_cpu_seconds", trained.epoch_cpu_seconds),
            **_repeated("queries_per_cpu_second", answered.queries_per_cpu_second),
        }
        results.append(_Result(variant, entry, answered, cost))
        _print_result(group, results[-1], time.perf_counter() - start)
    return results


def _repeated(name: str, values: Sequence[float]) -> dict[str, float]:
    """Their median, with the ends of its interval."""
    return as_json(name, middle(values)) if values else {}


def _progress(epochs: range, title: str) -> Iterable[int]:
    return track(epochs, title, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)


def _print_result(group: Group, result: _Result, seconds: float) -> None:
    widest = max(len(_name(each)) for each in group.variants)
    figures = [name for name in result.entry["metrics"] if name.startswith("ndcg@")]
    value = result.entry["metrics"][figures[0]]
    of_folding = result.entry["folding"] or {}
    folding = "".join(f"  {name} {'–' if each is None else f'{each:.3f}'}" for name, each in of_folding.items())
    shown = "–" if value is None else f"{value:.4f}"
    print(f"  {_name(result.variant):<{widest}}  {figures[0]} {shown}{folding}  {seconds:.1f} s", flush=True)


def _name(variant: Variant) -> str:
    base = " (base)" if variant.base and variant.label != "as shipped" else ""
    return f"{variant.model}: {variant.label}{base}"


def _write_skipped(workspace: Workspace, group: str, reason: str) -> None:
    with replaced(workspace.variants(group)) as folder:
        write_json(folder / "variants.json", {"group": group, "skipped": reason})
    print(f"{group} is skipped: {reason}")


def _write(workspace: Workspace, plan: Plan, results: Sequence[_Result]) -> None:
    """All files of a group appear at once."""
    group = plan.group
    content: dict[str, Any] = {"group": group.name, "sentence": group.sentence}
    if group.left_out:
        content["left_out"] = dict(group.left_out)
    if len(plan.new_items):
        truth = plan.question.truth
        content["new_items"] = {"items": len(plan.new_items), "events": len(truth.items), "users": len(truth)}
    if group.name == STUDY:
        write_json(workspace.study / f"{group.name}.json", content | {"variants": _with_intervals(group, results)})
        return
    content["variants"] = [each.entry for each in results]
    with replaced(workspace.variants(group.name)) as folder:
        pq.write_table(_users(plan.prepared, results), folder / "users.parquet")
        pq.write_table(_new_users(plan.prepared, results), folder / "new_users.parquet")
        write_json(folder / "variants.json", content)


def _with_intervals(group: Group, results: Sequence[_Result]) -> list[dict[str, Any]]:
    """Entries with the interval of their metric and of its difference to the first base.

    Tables per user stay out of Git. Models that stand beside come last, and are bases too.
    """
    params = group.params
    values = [each.answered.accuracy[params.compare.primary_metric] for each in results]
    base = next(each for each, result in zip(values, results, strict=True) if result.variant.base)
    found = intervals_of([*values, *(each - base for each in values)], params.seed, params.compare)
    return [
        each.entry | {"metric": params.compare.primary_metric, "interval": interval, "difference_to_base": difference}
        for each, interval, difference in zip(results, found[: len(results)], found[len(results) :], strict=True)
    ]


def _users(prepared: Prepared, results: Sequence[_Result]) -> pa.Table:
    """One row per variant and warm user with truth; folding of those who were sampled."""
    return pa.concat_tables(
        _table(
            prepared,
            each.answered.answers,
            {**each.answered.accuracy, **each.answered.among_new, **each.answered.folding},
            {"variant": each.variant.name},
        )
        for each in results
    )


def _new_users(prepared: Prepared, results: Sequence[_Result]) -> pa.Table:
    """One row per variant, number of events told and new user; without rows where new users were not asked about."""
    tables = [
        _table(prepared, answers, accuracy, {"variant": each.variant.name, "first_interactions": step}, fallback=True)
        for each in results
        for step, (answers, accuracy) in each.answered.new_users.items()
    ]
    answered = results[0].answered
    names = {"variant": "", "first_interactions": ""}
    return pa.concat_tables(tables or [_table(prepared, answered.answers, answered.accuracy, names, True).slice(0, 0)])


def _table(
    prepared: Prepared, answers: Recommendations, accuracy: PerUser, names: dict[str, str], fallback: bool = False
) -> pa.Table:
    return pa.table(
        {
            **{name: pa.array([value] * len(answers), pa.string()) for name, value in names.items()},
            "user_id": prepared.user_ids(answers.users),
            **({"fallback": answers.fallback} if fallback else {}),
            "num_test": num_relevant(answers.truth),
            **accuracy,
        }
    )
