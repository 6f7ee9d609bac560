"""Models that lack what an option needs: an encoder without reasons, a catalogue without features."""

from dataclasses import replace

import pandas as pd
import pytest
import small_split

from bakeoff.core.workspace import Workspace
from bakeoff.data.features.encoding import TableEncoding
from bakeoff.ops.list_options import Filter, ItemFeatures
from bakeoff.ops.server import serve
from bakeoff.ops.server.schemas import Query, RefusedError
from bakeoff.stages import export, train

NAME = "mf"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("lacking"))
    small_split.write_split(workspace)
    train.run(small_split.PARAMS, workspace, NAME)
    return workspace


def test_it_gives_no_reasons_if_it_was_exported_without(workspace, monkeypatch):
    from bakeoff.models.mf.graph import MFEncoder

    monkeypatch.delattr(MFEncoder, "explain")
    export.run(workspace, NAME)
    model = serve.load_named(workspace, NAME, "off")
    with pytest.raises(RefusedError, match=r"mf can't say why: .*run `bakeoff export`"):
        model.encoder.encode(Query(user_id="u3", k=4, why=True))
    [found] = model.answer([model.encoder.encode(Query(user_id="u3", k=4))])
    assert len(found.items) == 4


def test_filters_are_refused_and_the_other_options_work(workspace):
    export.run(workspace, NAME)
    whole = serve.load_named(workspace, NAME, "off")
    # as stored before the features of items were
    nothing = ItemFeatures(pd.DataFrame(index=range(12)), TableEncoding(), NAME)
    lacking = replace(whole, encoder=replace(whole.encoder, features=nothing))
    with pytest.raises(
        RefusedError, match=r"mf knows no features.*older version.*`bakeoff train mf` and `bakeoff export mf`"
    ):
        lacking.encoder.encode(Query(user_id="u3", k=4, filters=[Filter(feature="year", min=1990)]))
    query = Query(user_id="u3", k=4, allow=["i1", "i2", "i5", "i7"], debias=0.5)
    [found], [expected] = (model.answer([model.encoder.encode(query)]) for model in (lacking, whole))
    assert [item.item_id for item in found.items] == [item.item_id for item in expected.items]
    [diverse] = lacking.answer([lacking.encoder.encode(Query(user_id="u3", k=4, diversity=0.5))])  # by embeddings
    assert len(diverse.items) == 4
