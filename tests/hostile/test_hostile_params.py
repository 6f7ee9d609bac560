"""params.yaml from anybody: valid parameters or a BakeoffError, never anything else, and soon."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.core.errors import BakeoffError
from bakeoff.core.parameters import Frozen
from bakeoff.params import Params, load_params, parse_params

SHIPPED = (Path(__file__).parents[2] / "params.yaml").read_bytes()


@pytest.fixture
def load(tmp_path: Path):
    def load(content: str | bytes) -> Params:
        path = tmp_path / "params.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_params(path)

    return load


def leaves(model: Frozen, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in model:
        if isinstance(value, Frozen):
            yield from leaves(value, (*prefix, name))
        else:
            yield (*prefix, name), value


def nested(keys: tuple[str, ...], value: Any) -> dict[str, Any]:
    for key in reversed(keys):
        value = {key: value}
    return value


LEAVES = dict(leaves(Params()))
NO_NUMBERS = [float("nan"), float("inf"), float("-inf"), 10**400, -(10**400), "\x00", "\ud800", "x" * 10_000]


@pytest.mark.parametrize("keys", LEAVES, ids=".".join)
def test_no_parameter_takes_what_is_no_number_and_no_text(keys):
    wrap = (lambda value: [value]) if isinstance(LEAVES[keys], tuple) else (lambda value: value)
    for value in NO_NUMBERS:
        with pytest.raises(BakeoffError, match=r"\.".join(keys)):
            parse_params(nested(keys, wrap(value)))


NUMBERS = [keys for keys, value in LEAVES.items() if isinstance(value, int | float) and not isinstance(value, bool)]
TRUTHS = [keys for keys, value in LEAVES.items() if isinstance(value, bool)]


@pytest.mark.parametrize("value", [True, False, "1", b"1"], ids=repr)
def test_a_number_is_neither_a_truth_nor_a_text(value):
    for keys in NUMBERS:
        with pytest.raises(BakeoffError, match=keys[-1]):
            parse_params(nested(keys, value))


@pytest.mark.parametrize("value", ["no", "yes", "true", 1, 0, 1.0], ids=repr)
def test_a_truth_is_true_or_false(value):
    for keys in TRUTHS:
        with pytest.raises(BakeoffError, match=r"\.".join(keys)):
            parse_params(nested(keys, value))


def billion(row: str, rows: int = 9) -> str:
    """Rows of which each names the one before nine times."""
    lines = [f"a: &a {row}"]
    for one, other in zip("abcdefghijkl", "bcdefghijklm"[:rows], strict=False):
        lines.append(f"{other}: &{other} [{', '.join([f'*{one}'] * 9)}]")
    return "\n".join(lines) + "\n"


MERGED = "a: &a {x: 1}\n" + "".join(
    f"{other}: &{other} {{<<: [{', '.join([f'*{one}'] * 9)}]}}\n"
    for one, other in zip("abcdefgh", "bcdefghi", strict=True)
)
TRICKS = {
    "billion laughs": (billion("[lol]"), "line 3: more than 10 aliases"),
    "few laughs of a long text": (billion(f"[{'l' * 990}]", 3), "line 3: more than 10 aliases"),
    "merged laughs": (MERGED, "line 3: more than 10 aliases"),
    "a list that holds itself": ("seed: &a [*a]\n", "seed: Input should be a valid integer"),
    "a section that holds itself": ("data: &a\n  columns: *a\n", r"data\.columns\.columns: there is no such"),
    "a value that nobody set": ("seed: *a\n", r"line 1: found undefined alias 'a'"),
    "a tag that calls": ("seed: !!python/object/apply:os.system ['touch x']\n", r"line 1: .*the tag .*os\.system"),
    "a tag of one's own": ("mf:\n  dim: !x 1\n", "line 2: .*the tag '!x'"),
    "a number by force": ("seed: !!int abc\n", "not valid YAML: invalid literal"),
    "an anchor twice": ("&a seeds: &a 1\n", "seeds: there is no such parameter"),
    "a set": ("seed: !!set {1, 2}\n", "seed: Input should be a valid integer"),
    "a merge with a number": ("mf: {<<: 3}\n", "line 1: .*merging"),
    "a key twice": ("mf: {dim: 1, dim: 2}\n", "line 1: .*duplicate key"),
    "a section twice": ("seed: 1\nmf: {dim: 2}\nseed: 3\n", "duplicate key"),
    "a time of day": ("seed: 1:30:00\n", r"seed: .*'1:30:00'"),
    "a day": (
        "validation:\n  latest: 2100-01-01\n",
        r"validation\.latest: .*datetime\.date\(2100, 1, 1\).*: write it in quotation marks",
    ),
    "no day": ("seed: 2001-99-99\n", "not valid YAML: month must be in"),
    "Norway": ("softmax: {normalize: no}\n", r"softmax\.normalize: Input should be a valid boolean \(got 'no'\)"),
    "infinity": ("mf: {regularization: .inf}\n", r"mf\.regularization: .*finite"),
    "more than infinity": ("mf: {regularization: 1e999}\n", r"mf\.regularization: .*finite"),
    "no number": ("evidence: {growth_shares: [0.5, .nan]}\n", r"evidence\.growth_shares\.1: .*finite"),
    "more digits than Python reads": (f"seed: {'9' * 5000}\n", "not valid YAML: .*5000 digits"),
    "more digits than fit": (f"mf: {{dim: {'9' * 400}}}\n", r"mf\.dim: .*beyond"),
    "a text for a list": ("evaluate: {cutoffs: '123'}\n", r"evaluate\.cutoffs: "),
    "a key that there is not": ("mf: {$(touch x): 1}\n", r"mf\.\$\(touch x\): there is no such"),
    "a number as a key": ("1: 2\n", "1: Keys should be strings"),
    "nothing as a key": ("? \n: 2\n", "None: Keys should be strings"),
    "a list as a key": ("[seed]: 2\n", "seed.*: Keys should be strings"),
    "a section as a key": ("{a: 1}: 2\n", "line 1: .*unhashable key"),
    "a section that is null": ("mf:\nsoftmax: ~\n", r"mf: .*(?s:.*)softmax: "),
    "a tab": ("mf:\n\tdim: 3\n", "line 2: "),
    "a zero byte": ("seed: 1\x00\n", "not valid YAML"),
    "UTF-16": ("seed: 1\n".encode("utf-16"), r"not valid YAML: it is not in UTF-8 \(.*, byte 1\)\. Save it"),
    "Latin-1": ("data: {dataset: é}\n".encode("latin-1"), "not valid YAML"),
    "half a character": ('data: {dataset: "\\ud800"}\n', r"data\.dataset: .*half a character"),
    "no character": ('data: {dataset: "\\U00110000"}\n', "not valid YAML"),
    "far from a character": ('data: {dataset: "\\UFFFFFFFF"}\n', "not valid YAML"),
    "a bell": ('data: {dataset: "\\a"}\n', r"data\.dataset: .*control character"),
    "a colour in a key": ('"\\e[31mseed": 1\n', r"\\x1b\[31mseed: there is no such"),
    "a blank name": ("data: {dataset: ' '}\n", r"data\.dataset: "),
    "two documents": ("seed: 1\n---\nseed: 2\n", "single document"),
    "ten megabytes": (b"#" * 10_000_000, "larger than 65,536 bytes"),
    "deep lists": ("seed: " + "[" * 10_000 + "]" * 10_000, "line 1: more than 20 levels"),
    "deep sections": ("seed: " + "{a: " * 5000, "line 1: more than 20 levels"),
    "deep dashes": ("- " * 5000 + "1\n", "line 1: more than 20 levels"),
    "deep questions": ("? " * 5000 + "1\n", "line 1: more than 20 levels"),
    "faults without end": ("".join(f"k{n}: 1\n" for n in range(900)), r"and 880 more"),
}


@pytest.mark.parametrize(("content", "message"), TRICKS.values(), ids=TRICKS)
def test_a_trick_is_refused_with_its_place(load, content, message):
    with pytest.raises(BakeoffError, match=message) as refusal:
        load(content)
    assert len(str(refusal.value)) < 5000


def test_parsed_values_that_never_end_are_refused():
    for values in ({}, []):
        endless: Any = values
        (endless.append(endless) if isinstance(endless, list) else endless.update(a=endless))
        with pytest.raises(BakeoffError, match="mf"):
            parse_params({"mf": endless})


@pytest.mark.parametrize("convert", [
    lambda text: b"\xef\xbb\xbf" + text,
    lambda text: text.replace(b"\n", b"\r\n"),
    lambda text: text.replace(b"\n", b"\r"),
    lambda text: b"%YAML 1.2\n---\n" + text,
], ids=["byte order mark", "Windows", "old Mac", "directive"])  # fmt: skip
def test_the_shipped_file_reads_the_same_in_every_spelling(load, convert):
    assert load(convert(SHIPPED)) == load(SHIPPED)


@pytest.mark.parametrize(("content", "seed"), [("017", 17), ("0o17", 15), ("0x1F", 31), ("1_000", 1000)])
def test_numbers_are_those_of_yaml_1_2(load, content, seed):
    assert load(f"seed: {content}\n").seed == seed


def test_text_is_text_whatever_it_looks_like(load):
    hostile = "../../$(touch x);`id`'\" ${item} ${PATH} \u202eevil\u200b\U0001f600"
    text = hostile.replace("'", "''")
    params = load(f"data:\n  dataset: '{text}'\n  user_features: {{'{text}': dense}}\n")
    assert params.data.dataset == hostile
    assert params.data.user_features == {hostile: "dense"}


def test_an_anchor_may_be_used_where_little_is_repeated(load):
    params = load(
        "mf: &x {dim: 8, recency_scale: 2.0}\ntwo_tower: {hidden: &h [8], item_hidden: *h}\nsoftmax: {hidden: *h}\n"
    )
    assert (params.mf.dim, params.softmax.hidden, params.two_tower.item_hidden) == (8, (8,), (8,))


@pytest.mark.parametrize("kind", ["pipe", "endless device", "directory"])
def test_what_is_no_file_is_neither_waited_for_nor_read_without_end(tmp_path, kind):
    path = tmp_path / "params.yaml"
    {"pipe": lambda: os.mkfifo(path), "endless device": lambda: path.symlink_to("/dev/zero"), "directory": path.mkdir}[
        kind
    ]()
    with pytest.raises(BakeoffError, match="is not a regular file"):
        load_params(path)


KEYS = [key for keys in LEAVES for key in keys]
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=4)
    | st.sampled_from(["no", "${item}", "in-batch", "ndcg@10", "1990-01-01", 10**30, 2**53, -1, 0, 1, 0.5])
)  # fmt: skip
NAMES = st.sampled_from(KEYS) | st.text(max_size=5) | st.none() | st.integers() | st.floats() | st.just("<<")
GARBAGE = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(st.sampled_from(list(Params.model_fields)) | NAMES, GARBAGE, max_size=4))
def test_any_values_are_parameters_or_refused(values):
    _are_parameters_or_refused(lambda: parse_params(values))


@given(st.sampled_from(list(LEAVES)), GARBAGE)
def test_any_value_of_a_parameter_is_taken_or_refused(keys, value):
    _are_parameters_or_refused(lambda: parse_params(nested(keys, value)))


def _are_parameters_or_refused(make):
    try:
        params = make()
    except BakeoffError:
        return
    # What was taken can be written and read again, unchanged.
    assert parse_params(params.model_dump()) == params


LINES = SHIPPED.splitlines(keepends=True)
PIECES = st.sampled_from(
    [b"&a ", b"*a", b"<<: *a\n", b"!!python/name:os.system", b"- ", b"? ", b": ", b"\t", b"\r", b"{", b"[", b"]", b"}",
     b'"', b"'", b"|\n", b">\n", b"%YAML 1.1\n", b"---\n", b"...\n", b"\xff", b"\x00", b".nan", b"2001-02-30", b"0o9",
     b"1:30", b"~", b"\n ", b"#", b"!!int ", b'"\\U99999999"', b"!!binary ", b"9" * 400, b"\xe2\x80\xa8"]
)  # fmt: skip


@st.composite
def mutated(draw) -> bytes:
    """Some consecutive lines of the shipped file, with pieces put in, taken out or repeated."""
    start = draw(st.integers(0, len(LINES) - 1))
    text = b"".join(LINES[start : start + draw(st.integers(1, 25))])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        end = at + draw(st.integers(0, 6))
        text = text[:at] + draw(PIECES | st.binary(max_size=3) | st.just(text[at:end] * 3)) + text[end:]
    return text


@settings(max_examples=40)
@given(text=mutated())
def test_any_change_of_the_shipped_file_gives_parameters_or_a_refusal(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "mutated.yaml"
    path.write_bytes(text)
    _are_parameters_or_refused(lambda: load_params(path))
