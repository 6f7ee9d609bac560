"""Reading named members of a zip archive that came from elsewhere."""

import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from bakeoff.core.errors import BakeoffError

MAX_MEMBER_BYTES = 128 * 2**20
"""No member of a known archive is larger than a fifth of this when unpacked."""
MAX_ARCHIVE_BYTES = 64 * 2**20
"""No known archive is larger than a fifth of this."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The others unpack a piece of any size at once, whatever the limit."""
ENCRYPTED = 0x1
"""Bit of a member's flags."""


def read_members(archive: Path, members: Sequence[str], max_bytes: int = MAX_MEMBER_BYTES) -> dict[str, bytes]:
    """Read exactly the named members into memory; nothing else is looked at, nothing is unpacked to disk.

    Args:
        archive: a zip file (a wheel is one).
        members: full names inside the archive.
        max_bytes: largest size of a member, unpacked.

    Returns:
        content by the last part of the member's name.

    Raises:
        BakeoffError: not a zip, or a large one; a member is missing, damaged, encrypted, there twice, a link, or
            unpacks to more than max_bytes.
    """
    try:
        if archive.stat().st_size > MAX_ARCHIVE_BYTES:
            raise BakeoffError(
                f"{archive.name} is larger than {MAX_ARCHIVE_BYTES:,} bytes: it is not the archive that was expected."
            )
        with zipfile.ZipFile(archive) as opened:
            return {PurePosixPath(name).name: _read(opened, name, max_bytes) for name in members}
    # zipfile passes on what a wrong offset or length leads to: OSError from seek, ValueError from a name's encoding
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise BakeoffError(f"{archive.name} is damaged or not a zip archive ({error}): fetch it again.") from None


def _read(opened: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    archive = Path(opened.filename or "").name
    found = [member for member in opened.infolist() if member.filename == name]
    if not found:
        raise BakeoffError(f"{archive} has no member {name}: it is not the archive that was expected.")
    member = found[0]
    refused = {
        "is there more than once": len(found) > 1,
        "is encrypted": bool(member.flag_bits & ENCRYPTED),
        "is a link, not a file": stat.S_ISLNK(member.external_attr >> 16),
        "is packed by a method that is not expected": member.compress_type not in METHODS,
    }
    for problem in (words for words, holds in refused.items() if holds):
        raise BakeoffError(f"{name} in {archive} {problem}: it is not the archive that was expected.")
    with opened.open(member) as stream:
        content = stream.read(max_bytes + 1)  # what the header claims is not trusted
    if len(content) > max_bytes or member.file_size > max_bytes:
        raise BakeoffError(f"{name} unpacks to more than {max_bytes:,} bytes: refused, it is not the expected file.")
    return content
