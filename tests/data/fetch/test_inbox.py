import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.inbox import new_deliveries


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
    return [delivery.name for delivery in found[0]]


def test_complete_deliveries_come_in_name_order(inbox, deliver):
    for name in ("2026-02-01", "2026-01-31", "2026-02-10"):
        deliver(name)
    assert names(new_deliveries(inbox, {})) == ["2026-01-31", "2026-02-01", "2026-02-10"]


def test_a_delivery_without_its_mark_waits_and_hidden_ones_and_files_are_not_looked_at(inbox, deliver):
    deliver("a", complete=False)
    deliver(".b")
    (inbox / "notes.txt").touch()
    assert new_deliveries(inbox, {}) == ([], ["a"])


def test_what_was_taken_is_not_taken_again(inbox, deliver):
    deliver("a")
    [taken], _ = new_deliveries(inbox, {})
    deliver("b")
    assert names(new_deliveries(inbox, {"a": taken.sha256})) == ["b"]


@pytest.mark.parametrize("change", ["content", "name", "more"])
def test_a_delivery_that_changed_after_it_was_taken_is_an_error_that_says_what_to_do(inbox, deliver, change):
    path = deliver("a") / "interactions.csv"
    [taken], _ = new_deliveries(inbox, {})
    if change == "content":
        path.write_text("user_id,item_id\n1,b\n")
    elif change == "name":
        path.rename(path.with_name("users.csv"))
    else:
        path.with_name("items.csv").write_text("item_id,title\n")
    with pytest.raises(BakeoffError, match=r"Delivery a was taken before .* under a new name"):
        new_deliveries(inbox, {"a": taken.sha256})


def test_links_that_lead_out_of_a_delivery_are_refused(inbox, deliver, tmp_path):
    (tmp_path / "secret").write_text("user_id,age\n1,30\n")
    (deliver("a") / "users.csv").symlink_to(tmp_path / "secret")
    with pytest.raises(BakeoffError, match=r"users\.csv of delivery a is a link that leads out"):
        new_deliveries(inbox, {})


def test_a_link_within_a_delivery_is_none_of_those(inbox, deliver):
    (deliver("a") / "users.csv").symlink_to("interactions.csv")
    assert names(new_deliveries(inbox, {})) == ["a"]


def test_a_delivery_that_is_a_link_to_elsewhere_is_refused(inbox, deliver, tmp_path):
    deliver("a").rename(tmp_path / "elsewhere")
    (inbox / "b").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BakeoffError, match="delivery b is a link"):
        new_deliveries(inbox, {})


def test_an_inbox_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BakeoffError, match="nowhere is not a directory"):
        new_deliveries(tmp_path / "nowhere", {})
