"""What `deploy/notifications.py` puts on a server; test_local_stack.py has a message that arrives."""

import runpy
import subprocess
import sys
from uuid import uuid4

import pytest
from prefect.states import Completed
from services.local_stack import REPOSITORY

SCRIPT = REPOSITORY / "deploy/notifications.py"


@pytest.mark.parametrize(("address", "why"), [("", "is not set"), ("hunter2", "not an address that Apprise knows")])
def test_without_a_usable_address_it_says_so_and_does_not_quote_it(address: str, why: str) -> None:
    done = subprocess.run([sys.executable, SCRIPT], env={"BAKEOFF_NOTIFY": address}, capture_output=True, text=True)
    assert done.returncode == 1
    assert why in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_a_message_says_how_a_night_or_a_promotion_ended_and_where_to_look() -> None:
    script = runpy.run_path(str(SCRIPT))
    for name in script["FLOWS"]:
        assert f"def {name}(" in (REPOSITORY / f"flows/{name}.py").read_text()
    made = script["automation"](uuid4())
    assert f"prefect.flow-run.{Completed().name}" in made.trigger.expect
    assert "prefect.flow-run.Unchanged" not in made.trigger.expect
    (action,) = made.actions
    assert "{{ flow_run.state.message }}" in action.body
    assert "docs/runbook.md" in action.body
