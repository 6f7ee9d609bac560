import sys

import pytest
from promotion_repo import git, new_repo
from running_server import promote, serve_options

from bakeoff.cli import operations
from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.ops import server
from bakeoff.ops.server import serve
from bakeoff.ops.server.http_server import listen


def test_where_nothing_is_promoted_it_says_what_to_do(tmp_path):
    workspace = new_repo(tmp_path / "repo")
    git(workspace.root, "commit", "--quiet", "--allow-empty", "--message", "nothing yet")
    with pytest.raises(BakeoffError, match=r"Nothing is in production.*bakeoff promote.*--model"):
        serve.prepare(workspace, serve_options())
    with pytest.raises(BakeoffError, match="is in no Git repository"):
        serve.prepare(Workspace(tmp_path), serve_options())
    with pytest.raises(BakeoffError, match="'als' is not a model"):
        serve.prepare(workspace, serve_options(model="als"))
    with pytest.raises(BakeoffError, match=r"models/mf/saved_model can't be read .*: run `bakeoff export mf`"):
        serve.prepare(workspace, serve_options(model="mf"))


def test_tags_of_others_are_seen_once_they_are_fetched(tmp_path):
    theirs, ours = new_repo(tmp_path / "theirs"), tmp_path / "ours"
    git(theirs.root, "commit", "--quiet", "--allow-empty", "--message", "a run")
    git(tmp_path, "clone", "--quiet", str(theirs.root), str(ours))
    promote(theirs, "mf", git(theirs.root, "rev-parse", "HEAD"))
    assert serve.in_production(ours, fetch=False) is None
    found = serve.in_production(ours, fetch=True)
    assert found is not None
    assert found.version.name == "mf@v1.0.0"


def test_a_remote_that_does_not_answer_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(serve, "FETCH_SECONDS", 0.5)
    root = new_repo(tmp_path / "repo").root
    with listen("127.0.0.1", 0) as silent:
        silent.listen()
        git(root, "remote", "add", "origin", f"http://127.0.0.1:{silent.getsockname()[1]}/repo.git")
        with pytest.raises(BakeoffError, match=r"`git fetch` failed in .*\n  took longer than 0.5 s and was ended"):
            serve.in_production(root, fetch=True)


def test_a_package_of_the_extra_that_is_missing_is_an_error(monkeypatch):
    monkeypatch.delattr(server, "serve")  # so that it is imported again
    for name in ("serve", "app"):
        monkeypatch.delitem(sys.modules, f"bakeoff.ops.server.{name}")
    monkeypatch.setitem(sys.modules, "fastapi_offline", None)
    with pytest.raises(BakeoffError, match=r"needs the package fastapi_offline, .*pip install '\.\[serve\]'"):
        operations.serve()


def test_an_empty_host_is_an_error_and_not_all_addresses():
    with pytest.raises(BakeoffError, match=r"--host is empty: give .* 127\.0\.0\.1, or 0\.0\.0\.0 for all"):
        listen("", 0).close()


def test_an_address_that_is_taken_is_an_error():
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BakeoffError, match=f"127.0.0.1:{port} can't be listened on: .*another --host or --port"):
            listen("127.0.0.1", port)
