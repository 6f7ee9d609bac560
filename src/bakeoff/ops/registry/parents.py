"""The models that training starts from: what the version in production left, copied in as an input that DVC keeps."""

from pathlib import Path

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import file_hash, replaced, write_json
from bakeoff.core.subprocesses import read_output
from bakeoff.core.workspace import Workspace
from bakeoff.models.base import specs
from bakeoff.ops.registry.history import Version, production, read_events


def copy_parents(workspace: Workspace) -> None:
    """Copy what each model of the version in production left to `parents/`, have DVC keep it, and write parents.json.

    A model that the version did not keep a start of is fitted in full; so are all where nothing is in production.

    Raises:
        BakeoffError: the version's files are in neither DVC's cache nor its remote, or DVC refuses.
    """
    standing = production(read_events(workspace.root))
    names = [name for name, spec in specs.specs().items() if standing is not None and spec.starts_warm]
    found: dict[str, dict[str, str]] = {}
    if standing is not None:
        with replaced(workspace.parents) as folder:
            for name in names:
                if _copy(workspace.root, standing.version, name, folder / f"{name}.npz"):
                    found[name] = {
                        "version": standing.version.name,
                        "commit": standing.version.commit,
                        "md5": file_hash(folder / f"{name}.npz", "md5"),
                    }
        if found:
            read_output(["dvc", "--wait-for-lock", "add", "--quiet", workspace.parents.name], workspace.root)
    write_json(workspace.parents_record, found)
    version = "nothing in production" if standing is None else standing.version.name
    print(f"Training starts from {version}: {', '.join(found) or 'no model, all are fitted in full'}.")


def _copy(root: Path, version: Version, model: str, path: Path) -> bool:
    """Bring what a model of a version left, from DVC's cache or else its remote; whether it left anything."""
    from dvc.api import DVCFileSystem  # takes a second to load
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    source = Workspace(Path()).start(model).as_posix()
    try:
        files = DVCFileSystem(str(root), rev=version.commit)
        if not files.exists(source):
            return False
        files.get_file(source, str(path))
    except (DvcException, DataIndexDirError, OSError) as error:
        raise BakeoffError(
            f"{source} of {version.name} (commit {version.commit[:7]}), from which training starts, is in neither "
            f"DVC's cache nor its remote: {str(error).splitlines()[0]}. Run `dvc push --all-tags` on the machine that "
            "trained it, or set warm_start.mode to off."
        ) from None
    return True
