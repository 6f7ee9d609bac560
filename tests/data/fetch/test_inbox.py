import os
import re

import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.own_sources import read_inbox


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


def names(found):
    return list(found.deliveries)


def refusal(found, message):
    """Whether nothing but one delivery was refused, for this reason."""
    return found.deliveries == {} and len(found.refused) == 1 and re.search(message, found.refused[0])


def test_complete_deliveries_come_in_name_order(inbox, deliver):
    for name in ("2026-02-01", "2026-01-31", "2026-02-10"):
        deliver(name)
    assert names(read_inbox(inbox, {})) == ["2026-01-31", "2026-02-01", "2026-02-10"]


def test_a_delivery_without_its_mark_waits_and_hidden_ones_and_files_are_not_looked_at(inbox, deliver):
    deliver("a", complete=False)
    deliver(".b")
    (inbox / "notes.txt").touch()
    found = read_inbox(inbox, {})
    assert (found.deliveries, found.unfinished, found.refused) == ({}, ["a"], [])


def test_what_was_taken_is_not_taken_again(inbox, deliver):
    deliver("a")
    taken = read_inbox(inbox, {}).deliveries
    deliver("b")
    assert names(read_inbox(inbox, taken)) == ["b"]


@pytest.mark.parametrize("change", ["content", "name", "more"])
def test_a_delivery_that_changed_after_it_was_taken_is_an_error_that_says_what_to_do(inbox, deliver, change):
    path = deliver("a") / "interactions.csv"
    taken = read_inbox(inbox, {}).deliveries
    if change == "content":
        path.write_text("user_id,item_id\n1,b\n")
    elif change == "name":
        path.rename(path.with_name("users.csv"))
    else:
        path.with_name("items.csv").write_text("item_id,title\n")
    found = read_inbox(inbox, taken)
    assert refusal(found, r"Delivery a was taken before .* under a new name")


def test_links_that_lead_out_of_a_delivery_are_refused(inbox, deliver, tmp_path):
    (tmp_path / "secret").write_text("user_id,age\n1,30\n")
    (deliver("a") / "users.csv").symlink_to(tmp_path / "secret")
    assert refusal(read_inbox(inbox, {}), r"users\.csv of delivery a is a link that leads out")


def test_a_link_within_a_delivery_is_none_of_those(inbox, deliver):
    (deliver("a") / "users.csv").symlink_to("interactions.csv")
    assert names(read_inbox(inbox, {})) == ["a"]


def test_a_delivery_that_is_a_link_to_elsewhere_is_refused(inbox, deliver, tmp_path):
    deliver("a").rename(tmp_path / "elsewhere")
    (inbox / "b").symlink_to(tmp_path / "elsewhere")
    assert refusal(read_inbox(inbox, {}), "delivery b is a link")


def test_an_inbox_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BakeoffError, match="nowhere is not a directory"):
        read_inbox(tmp_path / "nowhere", {})


def test_a_delivery_that_is_refused_does_not_keep_the_others_waiting(inbox, deliver, tmp_path):
    deliver("c")
    deliver("a").rename(tmp_path / "elsewhere")
    (inbox / "b").symlink_to(tmp_path / "elsewhere")
    found = read_inbox(inbox, {})
    assert names(found) == ["c"]
    assert len(found.refused) == 1


def test_a_link_that_leads_to_itself_is_refused(inbox, deliver):
    (inbox / "loop").symlink_to("loop")
    (deliver("a") / "users.csv").symlink_to("users.csv")
    (deliver("b") / "users.csv").symlink_to("items.csv")
    (inbox / "b" / "items.csv").symlink_to("users.csv")
    found = read_inbox(inbox, {})
    assert found.deliveries == {}
    assert [re.search("Too many levels of symbolic links", each) is not None for each in found.refused] == [True] * 3


def test_a_delivery_whose_name_is_not_utf_8_is_refused_and_named(inbox, deliver):
    deliver(os.fsdecode(b"caf\xe9"))
    assert refusal(read_inbox(inbox, {}), r"name of delivery caf\\udce9 is not UTF-8")


def test_a_file_whose_name_is_not_utf_8_counts_in_the_hash(inbox, deliver):
    (deliver("a") / os.fsdecode(b"caf\xe9")).touch()
    assert names(read_inbox(inbox, {})) == ["a"]
