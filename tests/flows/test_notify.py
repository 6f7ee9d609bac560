"""Messages, to a real server on loopback."""

import logging
from collections.abc import Iterator

import pytest
from services.listener import Listener, listening

from notify import NotifyError, main, send, tell
from secret import read_secret

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    with listening() as server:
        monkeypatch.setenv("BAKEOFF_NOTIFY", server.address)
        yield server


def test_a_message_reaches_the_address(listener: Listener) -> None:
    assert send("Bakeoff: brave-owl", "softmax goes into production.")
    (taken,) = listener.taken
    assert (taken["title"], taken["message"]) == ("Bakeoff: brave-owl", "softmax goes into production.")


def test_without_an_address_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BAKEOFF_NOTIFY", raising=False)
    assert not send("title", "body")


def test_a_message_that_is_refused_is_logged_without_the_address(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    listener.status = 500
    tell("Bakeoff: brave-owl", "body", logging.getLogger("run"))
    assert "'Bakeoff: brave-owl' was not taken" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_person_can_see_whether_messages_arrive(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["notify.py"])
    main()
    assert [each["message"] for each in listener.taken] == ["This is a test."]
    listener.status = 500
    with pytest.raises(SystemExit, match="'Bakeoff' was not taken"):
        main()
    monkeypatch.delenv("BAKEOFF_NOTIFY")
    main()
    assert capsys.readouterr().out.splitlines() == [
        "Sent.",
        "Nobody is told: BAKEOFF_NOTIFY is not set, and there is no Secret block bakeoff-notify.",
    ]


def test_an_address_that_makes_no_sense_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_NOTIFY", "hunter2")
    with pytest.raises(NotifyError, match="no address that Apprise understands") as caught:
        send("title", "body")
    assert "hunter2" not in str(caught.value)


def test_a_secret_comes_from_the_environment_first_then_from_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.blocks.system import Secret

    Secret(value="on the server").save("test-secret")
    monkeypatch.delenv("A_SECRET", raising=False)
    assert read_secret("A_SECRET", "test-secret") == "on the server"
    assert read_secret("A_SECRET", "no-such-block") is None
    monkeypatch.setenv("A_SECRET", "here")
    assert read_secret("A_SECRET", "test-secret") == "here"
