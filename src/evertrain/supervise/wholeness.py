"""Whether a file that some program saved is whole, as far as its outside tells.

It may come from anybody. It is looked at, never loaded: a pickle is walked opcode by
opcode and nothing in it runs; nothing is read into memory that only says it is large.

Layer: supervise. Imports core only.
"""

import io
import pickle
import pickletools
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO, Final

from evertrain.core.document import parse_json
from evertrain.core.regular import open_regular

_ZIP_MAGIC: Final = b"PK\x03\x04"
_PICKLE_MARK: Final = 0x80
_JOBLIB: Final = b"joblib.numpy_pickle"  # raw arrays between its opcodes
_HEAD_BYTES: Final = 65536
_MAX_HEADER_BYTES: Final = 100_000_000
_MAX_HEADER_DEPTH: Final = 4
# The largest piece that zipfile has a use for is its directory: a third of a million members.
_MAX_PIECE_BYTES: Final = 16 << 20
# Deflate makes nothing more than 1,032 times as long.
_MAX_RATIO: Final = 1_100
_UNPACKED: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_MAX_LINE_BYTES: Final = 1 << 20
# Behind so many zeros nobody looks for something else.
_MAX_ZERO_BYTES: Final = 64 << 20

_OPCODES: Final = {ord(each.code): each for each in pickletools.opcodes}
# How the length of an argument is stored, by what pickletools calls it: bytes, struct.
_LENGTHS: Final = {
    pickletools.TAKEN_FROM_ARGUMENT1: struct.Struct("<B"),
    pickletools.TAKEN_FROM_ARGUMENT4: struct.Struct("<i"),
    pickletools.TAKEN_FROM_ARGUMENT4U: struct.Struct("<I"),
    pickletools.TAKEN_FROM_ARGUMENT8U: struct.Struct("<Q"),
}
_STOP: Final = ord(pickle.STOP)


def problem_of(path: Path) -> str | None:
    """Return what is wrong with the checkpoint at `path`, or None if it looks whole.

    Zip archives (torch, numpy, SB3): the directory and the checksum of every member.
    safetensors: the header, and the length that it promises. Pickles: every opcode up to
    the end. Directories: every file. Of anything else only that it is neither empty nor
    zeros throughout, as files are whose data a loss of power took.
    """
    try:
        if path.is_dir():
            return _problem_of_dir(path)
        with open_regular(path) as file:
            return _problem_of_file(path, file) or _problem_of_zeros(file)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"


def _problem_of_dir(path: Path) -> str | None:
    files = sorted(each for each in path.rglob("*") if each.is_file())
    if not files:
        return "empty directory"
    # Empty files are normal inside (markers, __init__.py); an empty directory is not.
    problems = ((each, _problem_inside(each)) for each in files if each.stat().st_size)
    return next((f"{each.name}: {problem}" for each, problem in problems if problem), None)


def _problem_inside(path: Path) -> str | None:
    """Return what is wrong with a part of a checkpoint: it may well be zeros throughout."""
    try:
        with open_regular(path) as file:
            return _problem_of_file(path, file)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"


def _problem_of_zeros(file: BinaryIO) -> str | None:
    file.seek(0)
    while (data := file.read(_HEAD_BYTES)) and file.tell() < _MAX_ZERO_BYTES:
        if any(data):
            return None
    return None if data else "nothing but zeros"


def _problem_of_file(path: Path, file: BinaryIO) -> str | None:
    head = file.read(4)
    file.seek(0)
    if not head:
        return "empty file"
    if _ZIP_MAGIC.startswith(head) or path.suffix in {".zip", ".npz"}:
        return _problem_of_zip(file)
    if path.suffix == ".safetensors":
        return _problem_of_safetensors(file)
    is_pickle = head[0] == _PICKLE_MARK and (len(head) == 1 or head[1] <= pickle.HIGHEST_PROTOCOL)
    if is_pickle or path.suffix in {".pkl", ".pickle"}:
        return _problem_of_pickle(file)
    return None


class _InPieces(io.BufferedReader):
    """A file of which nobody reads too much at once, whatever length it claims to have."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most `size` bytes, or what is left.

        Raises:
            BadZipFile: That is too many.
        """
        least = _MAX_PIECE_BYTES + 1
        found = super().read(least if size is None or size < 0 else min(size, least))
        if len(found) == least:
            raise zipfile.BadZipFile("its directory is too large")
        return found


def _problem_of_zip(file: BinaryIO) -> str | None:
    size_bytes = file.seek(0, io.SEEK_END)
    try:
        with zipfile.ZipFile(_in_pieces(file)) as archive:
            return _problem_of_members(archive, size_bytes)
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError):
        return "truncated zip"
    except RuntimeError:  # encrypted: its own program has to judge
        return None
    except Exception as error:  # noqa: BLE001  (zlib, lzma and bz2 each have their own)
        return f"damaged zip ({error})"


def _in_pieces(file: BinaryIO) -> _InPieces:
    return _InPieces(io.FileIO(file.fileno(), closefd=False))


def _problem_of_members(archive: zipfile.ZipFile, size_bytes: int) -> str | None:
    members = archive.infolist()
    if sum(each.file_size for each in members) > _MAX_RATIO * size_bytes:
        return "damaged zip (it claims to hold more than any zip of its size can)"
    for each in members:
        if each.compress_type not in _UNPACKED:
            continue  # its library unpacks whole pieces at once, however large they become
        try:
            with archive.open(each) as member:
                while member.read(_HEAD_BYTES):
                    pass
        except zipfile.BadZipFile:
            return f"damaged zip (checksum of {each.filename})"
    return None


def _problem_of_safetensors(file: BinaryIO) -> str | None:
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(8)
    if len(head) < 8:  # noqa: PLR2004
        return "truncated safetensors"
    (header_bytes,) = struct.unpack("<Q", head)
    if header_bytes > min(_MAX_HEADER_BYTES, size_bytes - 8):
        return "truncated safetensors"
    text = file.read(header_bytes)
    try:
        header = parse_json(text, max_bytes=_MAX_HEADER_BYTES, max_depth=_MAX_HEADER_DEPTH)
        ends = [row["data_offsets"][1] for key, row in header.items() if key != "__metadata__"]
        wanted_bytes = 8 + header_bytes + max(ends, default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return "damaged safetensors header"
    return None if size_bytes == wanted_bytes else "truncated safetensors"


def _problem_of_pickle(file: BinaryIO) -> str | None:
    if _JOBLIB in file.read(_HEAD_BYTES):
        file.seek(-1, io.SEEK_END)
        return None if file.read(1) == pickle.STOP else "truncated pickle"
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    while (code := file.read(1)) and code[0] in _OPCODES:
        if code[0] == _STOP:
            return None
        if not _skip_argument(file, code[0], size_bytes):
            break
    return "truncated pickle"


def _skip_argument(file: BinaryIO, code: int, size_bytes: int) -> bool:
    """Go behind the argument of an opcode; say whether a file of that size can hold it."""
    argument = _OPCODES[code].arg
    if argument is None:
        return True
    if argument.n == pickletools.UP_TO_NEWLINE:
        lines = 2 if argument.name == "stringnl_noescape_pair" else 1
        return all(_skip_line(file) for _ in range(lines))
    length = argument.n
    if length < 0:
        form = _LENGTHS[length]
        data = file.read(form.size)
        if len(data) < form.size:
            return False
        (length,) = form.unpack(data)
    if not 0 <= length <= size_bytes:
        return False
    return file.seek(length, io.SEEK_CUR) <= size_bytes


def _skip_line(file: BinaryIO) -> bool:
    while part := file.readline(_MAX_LINE_BYTES):
        if part.endswith(b"\n"):
            return True
    return False
