"""Figures and the page that is made from them are kept side by side."""

import json

from harness.pages import show


def markdown(page):
    return f"{page['seconds']:.1f} s\n"


def test_a_page_is_printed_and_nothing_kept_without_a_path(tmp_path, capsys):
    show({"seconds": 1.25}, markdown, None)
    assert capsys.readouterr().out == "1.2 s\n"
    assert not list(tmp_path.iterdir())


def test_figures_and_page_are_kept_in_a_folder_that_is_made(tmp_path, capsys):
    show({"seconds": 1.25}, markdown, tmp_path / "new" / "page.json")
    assert json.loads((tmp_path / "new/page.json").read_text()) == {"seconds": 1.25}
    assert (tmp_path / "new/page.md").read_text() == capsys.readouterr().out == "1.2 s\n"
