"""Archives as an attacker makes them: any listing, any members, any compression."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from blake3 import blake3

Files = dict[str, bytes]
Forge = Callable[[Files], bytes]

TOP: Final = "r"


def row(data: bytes) -> dict[str, Any]:
    """Return what a listing says of a file."""
    return {"bytes": len(data), "blake3": blake3(data).hexdigest()}


def listing_of(files: Files) -> dict[str, Any]:
    """Return the listing of a sound archive."""
    rows = {path: row(data) for path, data in files.items()}
    size_bytes = sum(len(data) for data in files.values())
    return {"format": 1, "name": TOP, "bytes": size_bytes, "files": rows}


def tarred(listing: bytes, members: Callable[[tarfile.TarFile], None], top: str = TOP) -> bytes:
    """Return a tar that begins with `listing` and goes on with what `members` adds."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as file:
        add(file, f"{top}/archive.json", listing)
        members(file)
    return out.getvalue()


def add(file: tarfile.TarFile, name: str, data: bytes = b"", **more: Any) -> None:
    """Add a member, whatever it claims to be."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in more.items():
        setattr(info, key, value)
    file.addfile(info, io.BytesIO(data))


def sound(files: Files) -> bytes:
    """Return an archive that has nothing wrong with it."""
    return with_member(lambda _: None)(files)


def with_member(extra: Callable[[tarfile.TarFile], None], declared: str | None = None) -> Forge:
    """Return what makes a sound archive with one more member, declared or not."""

    def forge(files: Files) -> bytes:
        listing = listing_of(files)
        if declared is not None:
            listing["files"][declared] = row(b"x")
            listing["bytes"] += 1

        def members(file: tarfile.TarFile) -> None:
            for path, data in files.items():
                add(file, f"{TOP}/{path}", data)
            extra(file)

        return tarred(json.dumps(listing).encode(), members)

    return forge


def with_added(name: str, declared: str | None = None, data: bytes = b"", **more: Any) -> Forge:
    """Return what makes a sound archive with one more member called `name`."""
    return with_member(lambda file: add(file, name, data, **more), declared)


def _through_a_link(file: tarfile.TarFile) -> None:
    add(file, "r/l", type=tarfile.SYMTYPE, linkname="../../outside")
    add(file, "r/l/evil", b"x")


def with_listing(change: Callable[[bytes], bytes]) -> Forge:
    """Return what makes an archive whose listing was changed after all."""

    def forge(files: Files) -> bytes:
        text = change(json.dumps(listing_of(files)).encode())
        return tarred(text, lambda file: _all(file, files))

    return forge


def with_file(path: str, change: Callable[[bytes], bytes]) -> Forge:
    """Return what makes a sound archive of a run with one file changed."""
    return lambda files: sound(files | {path: change(files.get(path, b""))})


def _all(file: tarfile.TarFile, files: Files) -> None:
    for path, data in files.items():
        add(file, f"{TOP}/{path}", data)


def header(**fields: Any) -> bytes:
    """Return the block before a member, with fields that tarfile would not write."""
    info = tarfile.TarInfo(f"{TOP}/evil")
    block = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    for name, value in fields.items():
        start, size = _FIELDS[name]
        block[start : start + size] = value[:size].ljust(size, b"\0")
    block[148:156] = b" " * 8
    total = sum(block)
    block[148:156] = b"%06o\0 " % total
    return bytes(block)


_FIELDS: Final = {
    "name": (0, 100),
    "mode": (100, 8),
    "size": (124, 12),
    "type": (156, 1),
    "link": (157, 100),
    "magic": (257, 8),
    "prefix": (345, 155),
}


def with_header(**fields: Any) -> Forge:
    """Return what puts a forged header behind the files of a sound archive."""
    return lambda files: sound(files).rstrip(b"\0") + _pad(files) + header(**fields) + bytes(4096)


def _pad(files: Files) -> bytes:
    length = len(sound(files).rstrip(b"\0"))
    return bytes(-length % 512)


def run_of(path: Path) -> Files:
    """Return the files of a run that an archive carries."""
    left_out = {"lock", "supervisor.lock", "heartbeat", "index.json"}
    return {
        str(each.relative_to(path)): each.read_bytes()
        for each in sorted(path.rglob("*"))
        if each.is_file()
        and not each.is_symlink()
        and each.name not in left_out
        and not each.name.startswith(".")
        and "inbox" not in each.parts
        and not {"latest", "best"} & set(each.parts)
    }


NAMES: Final = (
    "../evil", "../../evil", "/evil", "a/../../evil", "./evil", "a//b", "", "a/", "..", ".",
    "archive.json", "x" * 256, "/".join("d" * 40), "a\0b", "C:\\evil\0", "run.json/x",
)  # fmt: skip
NUMBER: Final = b"\x80" + b"\xff" * 11  # base-256: beyond any file
NEGATIVE: Final = b"\xff" * 12

MEMBERS: Final[dict[str, Forge]] = {
    **{f"declared {name!r:.30}": with_added(f"{TOP}/{name}", name, b"x") for name in NAMES},
    **{
        f"undeclared {name!r:.30}": with_added(name, data=b"x")
        for name in ("r/evil", "../evil", "/evil", "s/run.json", "")
    },
    "a symbolic link": with_added("r/l", "l", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a file through a symbolic link": with_member(_through_a_link, "l/evil"),
    **{
        f"a hard link to {target}": with_added(
            "r/l", "l", type=tarfile.LNKTYPE, linkname=target
        )
        for target in ("/etc/passwd", "r/../../outside/mine.txt", "r/l", "r/nowhere", "run.json")
    },
    "a hard link with bytes": with_added(
        "r/l", "l", b"x", type=tarfile.LNKTYPE, linkname="r/run.json"
    ),
    **{
        f"of type {kind!r}": with_added("r/d", "d", type=kind, devmajor=1, devminor=5)
        for kind in (
            tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.CONTTYPE,
            tarfile.GNUTYPE_SPARSE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
            tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, b"V", b"M", b"D", b"Z",
        )
    },
    "a file twice": with_added("r/run.json", data=b"{}"),
    "a pax header of 99,999 bytes": with_added(
        "r/d", "d", b"x", pax_headers={"comment": "x" * 99_999}
    ),
    **{
        f"a pax size of {size:.12}": with_added("r/d", "d", b"x", pax_headers={"size": size})
        for size in ("9" * 5_000, "9" * 19, "-1", "1e9", "\u0663", "")
    },
    "a pax path outside": with_added("r/d", "d", b"x", pax_headers={"path": "../../evil"}),
    "a pax path with a NUL": with_added(
        "r/d", "d", b"x", pax_headers={"path": "r/d\0/../../evil"}
    ),
    "a size beyond any file": with_header(name=b"r/evil", size=NUMBER, type=b"0"),
    "a negative size": with_header(name=b"r/evil", size=NEGATIVE, type=b"0"),
    "a size that is no number": with_header(name=b"r/evil", size=b"zzzzzzz", type=b"0"),
    "a name that is no UTF-8": with_header(name=b"r/\xff\xfe", type=b"0"),
    "a mode that is no number": with_header(name=b"r/evil", mode=b"zzz", type=b"0"),
    "a pax header without an end": with_header(name=b"r/evil", size=b"00000001000", type=b"x"),
}  # fmt: skip

WHOLE: Final[dict[str, Callable[[bytes], bytes]]] = {
    "nothing": lambda _: b"",
    "zeros": lambda _: bytes(8192),
    "text": lambda _: b"hello" * 500,
    "cut short": lambda data: data[: len(data) // 2],
    "without its end": lambda data: data.rstrip(b"\0"),
    "something behind its end": lambda data: data + b"x" * 512,
    "two of them": lambda data: data + data,
    "two mebibytes of zeros behind it": lambda data: data + bytes(2 << 20),
    "a zip": lambda _: b"PK\x03\x04" + bytes(999),
    "gzip": lambda _: b"\x1f\x8b\x08" + bytes(999),
    "false zstd": lambda _: b"\x28\xb5\x2f\xfd" + b"x" * 999,
    "a skippable frame": lambda _: b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd" * 99,
}
