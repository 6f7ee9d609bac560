"""A version that was promoted when training still exported: models/<name> as one output, users in the graph alone."""

import shutil
from dataclasses import replace

import pandas as pd
import pytest
import small_split
from promotion_repo import OUT, WHOLE, commit, name_outputs, new_repo
from running_server import promote

from bakeoff.core.workspace import Workspace
from bakeoff.data.features.encoding import TableEncoding
from bakeoff.models.base.loading import EXTRAS
from bakeoff.models.base.storage import FEATURES, ITEMS
from bakeoff.ops.list_options import Filter, ItemFeatures
from bakeoff.ops.registry.history import production, read_events
from bakeoff.ops.server import serve
from bakeoff.ops.server.schemas import Query, RefusedError
from bakeoff.stages import export, train

NAME = "mf"


def answers(model):
    queries = [Query(user_id=user, k=4) for user in ("u3", "u9")]
    queries += [Query(history=["i3", "i5"], k=4), Query(history=[], k=4)]
    found = model.answer([model.encoder.encode(query) for query in queries])
    return [[(item.item_id, item.score) for item in answer.items] for answer in found]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """The same model twice: promoted in its old form, then exported as today."""
    workspace = new_repo(tmp_path_factory.mktemp("older") / "repo", (NAME,), WHOLE)
    small_split.write_split(workspace)
    train.run(small_split.PARAMS, workspace, NAME)
    export.run(workspace, NAME)
    kept = workspace.root.parent / "kept"
    shutil.move(workspace.model(NAME), kept)
    shutil.copytree(kept / "saved_model", workspace.saved_model(NAME), ignore=shutil.ignore_patterns(EXTRAS))
    for file in (ITEMS, FEATURES):
        shutil.copyfile(kept / "trained" / file, workspace.model(NAME) / file)
    promote(workspace, NAME, commit(workspace, "the old form"))
    shutil.rmtree(workspace.model(NAME))
    shutil.move(kept, workspace.model(NAME))
    name_outputs(workspace, OUT, (NAME,))
    commit(workspace, "the new form")
    return workspace


def test_it_gives_no_reasons_if_it_was_exported_without(workspace, monkeypatch, tmp_path):
    from bakeoff.models.mf.graph import MFEncoder

    monkeypatch.delattr(MFEncoder, "explain")
    shutil.copytree(workspace.root, tmp_path / "copy", symlinks=True)
    copy = Workspace(tmp_path / "copy")
    export.run(copy, NAME)
    model = serve.load_named(copy, NAME, "off")
    with pytest.raises(RefusedError, match=r"mf can't say why: .*run `bakeoff export`"):
        model.encoder.encode(Query(user_id="u3", k=4, why=True))
    assert answers(model)


def test_it_is_served_and_answers_as_the_same_model_does_in_its_new_form(workspace):
    standing = production(read_events(workspace.root))
    older = serve.load_promoted(workspace.root, "off", standing)
    newer = serve.load_named(workspace, NAME, "off")
    assert answers(older) == answers(newer)
    assert older.encoder.users.rows == newer.encoder.users.rows


def test_filters_are_refused_and_the_other_options_work(workspace):
    standing = production(read_events(workspace.root))
    older, newer = serve.load_promoted(workspace.root, "off", standing), serve.load_named(workspace, NAME, "off")
    # as stored before the features of items were
    older = replace(
        older,
        encoder=replace(older.encoder, features=ItemFeatures(pd.DataFrame(index=range(12)), TableEncoding(), NAME)),
    )
    with pytest.raises(
        RefusedError, match=r"mf knows no features.*older version.*`bakeoff train mf` and `bakeoff export mf`"
    ):
        older.encoder.encode(Query(user_id="u3", k=4, filters=[Filter(feature="year", min=1990)]))
    query = Query(user_id="u3", k=4, allow=["i1", "i2", "i5", "i7"], debias=0.5)
    [found], [expected] = (model.answer([model.encoder.encode(query)]) for model in (older, newer))
    assert [item.item_id for item in found.items] == [item.item_id for item in expected.items]
    [diverse] = older.answer([older.encoder.encode(Query(user_id="u3", k=4, diversity=0.5))])  # by embeddings
    assert len(diverse.items) == 4


def test_after_the_next_promotion_the_new_form_is_served(workspace):
    promote(workspace, NAME, commit(workspace))
    standing = production(read_events(workspace.root))
    found = serve.load_promoted(workspace.root, "off", standing)
    assert found.origin.version == "v2.0.0"
    assert answers(found) == answers(serve.load_named(workspace, NAME, "off"))
