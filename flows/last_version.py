"""What a run changed since the version in production, or since the last commit: for people, and never a failure."""

from pathlib import Path

from prefect.artifacts import create_markdown_artifact

from child import ChildError, Log, run_child


def publish_changes(workspace: Path, *, log: Log, timeout: float = 600) -> None:
    """Write reports/revisions.html and publish reports/revisions.md.

    No stage does this: it depends on the history in Git, which DVC does not watch. A project without history, or
    without figures in it, has nothing to compare with; the log says so.

    Args:
        workspace: Directory of dvc.yaml.
        log: Gets what is printed.
        timeout: Seconds after which it is given up.
    """
    if not (workspace / "reports/metrics.json").exists():
        return
    try:
        run_child(["bakeoff", "compare", "--last"], workspace, log=log, timeout=timeout)
    except ChildError as error:
        log(f"Not compared with the last version: {error.tail[-1] if error.tail else error.reason}")
        return
    text = (workspace / "reports/revisions.md").read_text(encoding="utf-8")
    create_markdown_artifact(text, key="revisions", description="What changed since the last version")
