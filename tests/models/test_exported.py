import shutil

import numpy as np
import pytest
from contenders import kiosk

from bakeoff.core.errors import BakeoffError
from bakeoff.models.base.encoder import EncoderRetriever
from bakeoff.models.base.export import export
from bakeoff.models.base.loading import load_serving
from bakeoff.models.base.serving_module import ServingModule
from bakeoff.models.popularity.graph import PopularityEncoder
from bakeoff.models.popularity.popularity import PopularityRetriever


def write(folder):
    module = ServingModule(PopularityEncoder(PopularityRetriever(np.array([1]))), *kiosk().catalogue)
    export(module, str(folder / "saved_model"))
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return write(tmp_path_factory.mktemp("exported"))


@pytest.fixture
def folder(exported, tmp_path):
    """A model whose directory may be harmed."""
    return shutil.copytree(exported, tmp_path / "mf")


def test_an_exported_model_is_a_retriever_again(folder):
    retriever = EncoderRetriever(load_serving(folder))
    assert retriever.item_embeddings.tolist() == [[1]]
    assert retriever.embed_queries(kiosk().people).tolist() == [[1]]


def test_the_same_model_is_exported_to_the_same_variables(exported, tmp_path):
    assert variables(write(tmp_path)) == variables(exported)
    assert len(variables(exported)) == 2


def variables(folder):
    """As written. The graph's file counts the functions of the process."""
    return {path.name: path.read_bytes() for path in (folder / "saved_model" / "variables").iterdir()}


def test_a_missing_model_says_how_to_make_it(tmp_path):
    with pytest.raises(BakeoffError, match=r"holds no exported model.*bakeoff export mf.*dvc checkout"):
        load_serving(tmp_path / "mf" / "saved_model")


def harm_graph(folder):
    (folder / "saved_model" / "saved_model.pb").write_bytes(b"not a graph")


def cut_graph(folder):
    path = folder / "saved_model" / "saved_model.pb"
    path.write_bytes(path.read_bytes()[:1000])


def empty_graph(folder):
    (folder / "saved_model" / "saved_model.pb").write_bytes(b"")


def drop_weights(folder):
    for path in (folder / "saved_model" / "variables").iterdir():
        path.unlink()


def drop_weight_data(folder):
    next((folder / "saved_model" / "variables").glob("*.data*")).unlink()


def cut_weights(folder):
    path = next((folder / "saved_model" / "variables").glob("*.data*"))
    path.write_bytes(path.read_bytes()[:-20])


def garble_weight_index(folder):
    next((folder / "saved_model" / "variables").glob("*.index")).write_bytes(b"\0" * 50)


@pytest.mark.parametrize(
    "harm",
    [harm_graph, cut_graph, empty_graph, drop_weights, drop_weight_data, cut_weights, garble_weight_index],
    ids=lambda harm: harm.__name__,
)
def test_a_damaged_model_says_how_to_restore_it(folder, harm):
    harm(folder)
    with pytest.raises(BakeoffError, match=r"can't be loaded.*dvc checkout --force.*bakeoff export mf"):
        load_serving(folder)
