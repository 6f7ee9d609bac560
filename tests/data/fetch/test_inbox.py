import os
import re

import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.own_sources import Request, add
from bakeoff.data.params import ColumnParams, DataParams

DATA = DataParams(dataset="shop", columns=ColumnParams(timestamp=None))


@pytest.fixture
def inbox(tmp_path):
    directory = tmp_path / "inbox"
    directory.mkdir()
    return directory


@pytest.fixture
def deliver(inbox):
    def make(name, content="user_id,item_id\n1,a\n", complete=True):
        (inbox / name).mkdir()
        (inbox / name / "interactions.csv").write_text(content)
        if complete:
            (inbox / name / "_SUCCESS").touch()
        return inbox / name

    return make


def taken_of(inbox, before=None):
    """Name → hash of the deliveries that are taken, and what is said of the others."""
    said = []
    try:
        found = add(Request(inbox=inbox), DATA, None, before or {}, said.append)
    except BakeoffError as error:
        *refused, _ = str(error).splitlines()  # the last line says that nothing was taken
        return {}, [*said, *refused]
    return (found.taken, [*said, *found.refused]) if found else ({}, said)


def names(inbox, before=None):
    return list(taken_of(inbox, before)[0])


def refusal(inbox, message, before=None):
    """Whether nothing but one delivery was refused, for this reason."""
    taken, said = taken_of(inbox, before)
    return taken == {} and len(said) == 1 and re.search(message, said[0])


def test_complete_deliveries_come_in_name_order(inbox, deliver):
    for name in ("2026-02-01", "2026-01-31", "2026-02-10"):
        deliver(name)
    assert names(inbox) == ["2026-01-31", "2026-02-01", "2026-02-10"]


def test_a_delivery_without_its_mark_waits_and_hidden_ones_and_files_are_not_looked_at(inbox, deliver):
    deliver("a", complete=False)
    deliver(".b")
    (inbox / "notes.txt").touch()
    waits = "Not taken, since they have no _SUCCESS yet: a."
    assert taken_of(inbox) == ({}, [waits, f"data/ is unchanged: {inbox} has no delivery that was not taken before."])


def test_what_was_taken_is_not_taken_again(inbox, deliver):
    deliver("a")
    taken, _ = taken_of(inbox)
    deliver("b")
    assert names(inbox, taken) == ["b"]


@pytest.mark.parametrize("change", ["content", "name", "more"])
def test_a_delivery_that_changed_after_it_was_taken_is_an_error_that_says_what_to_do(inbox, deliver, change):
    path = deliver("a") / "interactions.csv"
    taken, _ = taken_of(inbox)
    if change == "content":
        path.write_text("user_id,item_id\n1,b\n")
    elif change == "name":
        path.rename(path.with_name("users.csv"))
    else:
        path.with_name("items.csv").write_text("item_id,title\n")
    assert refusal(inbox, r"Delivery a can't be taken in: it was taken before .* under a new name", taken)


def test_links_that_lead_out_of_a_delivery_are_refused(inbox, deliver, tmp_path):
    (tmp_path / "secret").write_text("user_id,age\n1,30\n")
    (deliver("a") / "users.csv").symlink_to(tmp_path / "secret")
    assert refusal(inbox, r"Delivery a .*users\.csv is a link that leads elsewhere")


def test_a_link_within_a_delivery_is_none_of_those(inbox, deliver):
    (deliver("a") / "users.csv").symlink_to("interactions.csv")
    assert names(inbox) == ["a"]


def test_a_delivery_that_is_a_link_to_elsewhere_is_refused(inbox, deliver, tmp_path):
    deliver("a").rename(tmp_path / "elsewhere")
    (inbox / "b").symlink_to(tmp_path / "elsewhere")
    assert refusal(inbox, "Delivery b .*/b is a link that leads elsewhere")


def test_an_inbox_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BakeoffError, match="nowhere is not a directory"):
        add(Request(inbox=tmp_path / "nowhere"), DATA, None, {}, print)


def test_a_delivery_that_is_refused_does_not_keep_the_others_waiting(inbox, deliver, tmp_path):
    deliver("c")
    deliver("a").rename(tmp_path / "elsewhere")
    (inbox / "b").symlink_to(tmp_path / "elsewhere")
    taken, refused = taken_of(inbox)
    assert (list(taken), len(refused)) == (["c"], 1)


def test_a_link_that_leads_to_itself_is_refused(inbox, deliver):
    (inbox / "loop").symlink_to("loop")
    (deliver("a") / "users.csv").symlink_to("users.csv")
    (deliver("b") / "users.csv").symlink_to("items.csv")
    (inbox / "b" / "items.csv").symlink_to("users.csv")
    taken, refused = taken_of(inbox)
    assert taken == {}
    assert [re.search("Too many levels of symbolic links", each) is not None for each in refused] == [True] * 3


def test_a_delivery_whose_name_is_not_utf_8_is_refused_and_named(inbox, deliver):
    deliver(os.fsdecode(b"caf\xe9"))
    assert refusal(inbox, r"Delivery caf\\udce9 .* its name is not UTF-8")


def test_a_file_whose_name_is_not_utf_8_counts_in_the_hash(inbox, deliver):
    (deliver("a") / os.fsdecode(b"caf\xe9")).touch()
    assert names(inbox) == ["a"]
