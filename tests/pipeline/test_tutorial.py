"""docs/tutorial.md, command by command, in an empty directory."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
PERSON = {"NAME": "Reader", "EMAIL": "reader@example.com"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TUTORIAL, re.DOTALL | re.MULTILINE)


def commands() -> str:
    """The shell blocks as one script: `cd` holds for the blocks that follow. The package is this checkout's."""
    assert "--minutes 2 " in TUTORIAL  # half of it is enough to see that settings are found and used
    lines = "".join(blocks("sh")).replace("--minutes 2 ", "--minutes 1 ").splitlines()
    return "\n".join(["set -euxo pipefail", *(line for line in lines if not line.startswith("pip install"))])


def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "BAKEOFF_", "GIT_"))}
    git = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in PERSON.items()}
    return {
        **kept,
        **git,
        "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "COLUMNS": "100",
        "BROWSER": "true",  # the program of that name, which opens nothing
    }


def test_a_newcomer_gets_from_two_files_to_a_committed_verdict(tmp_path: Path) -> None:
    [program] = blocks("python")
    (tmp_path / "make_data.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        ["bash", "-c", commands()], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, second, _ = done.stdout.split("Report: reports/index.html")  # the last line of a verdict
    assert "No verdict yet" in first
    assert "BK001 failed" in first
    assert "Passed: BK001, " in second
    shop = tmp_path / "shop"
    figures = json.loads((shop / "reports/metrics.json").read_text())
    assert min(figures["mf"]["ndcg@10"], figures["softmax"]["ndcg@10"]) > figures["popularity"]["ndcg@10"]
    left = subprocess.run(["git", "status", "--porcelain"], cwd=shop, capture_output=True, text=True, check=True)
    assert left.stdout == ""
