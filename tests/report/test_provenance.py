from bakeoff.data.fetch.versioning import read_data_hash
from bakeoff.params import Params, parse_params
from bakeoff.report.params import package_versions, provenance


def test_another_parameter_gives_another_hash():
    changed = parse_params({"mf": {"dim": 32}})
    assert provenance(Params(), None).params_hash != provenance(changed, None).params_hash


def test_the_same_parameters_give_the_same_hash_in_any_order_of_writing():
    one = parse_params({"seed": 1, "mf": {"dim": 8, "max_epochs": 2}})
    other = parse_params({"mf": {"max_epochs": 2, "dim": 8}, "seed": 1})
    assert provenance(one, None).params_hash == provenance(other, None).params_hash


def test_parameters_are_listed_by_dotted_name():
    listed = provenance(Params(), None).params
    assert listed["softmax.negatives.sampler"] == "in-batch"
    assert listed["mf.dim"] == "64"


def test_the_data_hash_is_read_from_data_dvc():
    assert read_data_hash("outs:\n- md5: abc.dir\n  path: data\n") == "abc.dir"


def test_data_that_was_never_fetched_has_no_hash():
    assert read_data_hash("outs:\n- path: data\n") is None


def test_versions_of_what_computes_are_recorded():
    assert {"bakeoff", "tensorflow", "tensorflow-recommenders", "numpy"} <= package_versions().keys()
