"""Reading named members of a zip archive that came from elsewhere."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from bakeoff.errors import BakeoffError

MAX_MEMBER_BYTES = 128 * 2**20
"""No member of a known archive is larger than a fifth of this when unpacked."""


def read_members(archive: Path, members: Sequence[str], max_bytes: int = MAX_MEMBER_BYTES) -> dict[str, bytes]:
    """Read exactly the named members into memory; nothing else is looked at, nothing is unpacked to disk.

    Args:
        archive: a zip file (a wheel is one).
        members: full names inside the archive.
        max_bytes: largest size of a member, unpacked.

    Returns:
        content by the last part of the member's name.

    Raises:
        BakeoffError: not a zip, a member is missing or damaged, or unpacks to more than max_bytes.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            return {PurePosixPath(name).name: _read(opened, name, max_bytes) for name in members}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise BakeoffError(f"{archive.name} is damaged or not a zip archive ({error}): fetch it again.") from None


def _read(opened: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    try:
        member = opened.getinfo(name)
    except KeyError:
        raise BakeoffError(
            f"{Path(opened.filename or '').name} has no member {name}: it is not the archive that was expected."
        ) from None
    with opened.open(member) as stream:
        content = stream.read(max_bytes + 1)  # what the header claims is not trusted
    if len(content) > max_bytes or member.file_size > max_bytes:
        raise BakeoffError(f"{name} unpacks to more than {max_bytes:,} bytes: refused, it is not the expected file.")
    return content
