"""Bombs: what is small on the disk and huge in memory is refused with 512 MiB to spare."""

import gzip
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hostile.archives import listing_of, run_of, sound, tarred
from hostile.documents import sealed
from hostile.foreign import safetensors

NEWEST = "checkpoints/000000003"
MANIFEST = f"{NEWEST}/manifest.json"
SLOTS = [
    "run.json", "journal.jsonl", "metrics.jsonl", "lock", "heartbeat", "checkpoints/index.json",
    MANIFEST, f"{NEWEST}/metadata.json", f"{NEWEST}/net.safetensors", "logs/attempt-0001.log",
    "inbox/00000000000000000001-stop-a.json",
]  # fmt: skip

LISTS = b'{"a":[' + b"[]," * 9_000_000 + b"0]}"  # 27 MB that would be 600 MB of empty lists


def sparse(path: Path, size: int, head: bytes = b"", tail: bytes = b"") -> None:
    """Write a file that is nearly all hole."""
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)
        file.seek(size - len(tail))
        file.write(tail)


def compressed(data: bytes) -> bytes:
    """Return it in a thousandth of its size."""
    return bytes(pytest.importorskip("zstandard").ZstdCompressor().compress(data))


def in_archive(data: Callable[[Path], bytes]) -> Callable[[Path, Path], object]:
    """Return what puts an archive into a directory."""
    return lambda place, template: (place / "a.tar.zst").write_bytes(data(template))


def in_file(name: str, write: Callable[[Path], object]) -> Callable[[Path, Path], object]:
    """Return what puts a file of another program into a directory."""
    return lambda place, _: write(place / name)


def in_run(name: str, write: Callable[[Path], object]) -> Callable[[Path, Path], object]:
    """Return what puts a run with one forged file into a directory."""

    def put(place: Path, template: Path) -> None:
        (place / "runs").mkdir()
        shutil.copytree(template, place / "runs" / "r", symlinks=True)
        path = place / "runs" / "r" / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        write(path)

    return put


# A frame that asks for a window of 2 GiB, and repeats a zero.
WINDOW = b"\x28\xb5\x2f\xfd\x00\xa8" + struct.pack("<I", (1 << 17) << 3 | 0b11)[:3] + b"\0"
END_OF_ZIP = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 9, 9, 0xFFFFFF00, 64, 0)

BOMBS: dict[str, Callable[[Path, Path], object]] = {
    **{
        f"run: a tebibyte as {name.replace('/', ' ')}": in_run(
            name, lambda path: sparse(path, 1 << 40)
        )
        for name in SLOTS
    },
    "run: a manifest of lists": in_run(MANIFEST, lambda path: path.write_bytes(sealed(LISTS))),
    "run: an index of lists": in_run(
        "checkpoints/index.json", lambda path: path.write_bytes(sealed(LISTS))
    ),
    "run: a card of lists": in_run("run.json", lambda path: path.write_bytes(LISTS[: 15 << 20])),
    "run: a line of lists": in_run("journal.jsonl", lambda path: path.write_bytes(LISTS)),
    "run: metrics of nothing": in_run(
        "metrics.jsonl", lambda path: path.write_bytes(b"\n" * 5_000_000)
    ),
    "run: a manifest of brackets": in_run(
        MANIFEST, lambda path: path.write_bytes(b"[" * 10_000_000)
    ),
    "run: a manifest of quotes": in_run(
        MANIFEST, lambda path: path.write_bytes(b"[" * 999 + b'"\\"' * 10_000_000)
    ),
    "run: a packed log of zeros": in_run(
        "logs/attempt-0001.log.0001.gz",
        lambda path: path.write_bytes(gzip.compress(bytes(1 << 30), 1)),
    ),
    "run: a packed log with a window of two gigabytes": in_run(
        "logs/attempt-0001.log.0001.zst", lambda path: path.write_bytes(WINDOW)
    ),
    "run: a tebibyte of log before the last piece": in_run(
        "logs/attempt-0001.log.0001", lambda path: sparse(path, 1 << 40)
    ),
    "archive: a listing of lists": in_archive(lambda _: compressed(tarred(LISTS, lambda _: None))),
    "archive: a listing of four gigabytes": in_archive(
        lambda _: compressed(tarred(b"", lambda _: None).replace(b"00000000000", b"37777777777", 1))
    ),
    "archive: a window of two gigabytes": in_archive(lambda _: WINDOW * 1),
    "archive: a manifest of lists": in_archive(
        lambda template: compressed(sound(run_of(template) | {MANIFEST: sealed(LISTS)}))
    ),
    "archive: a journal of zeros": in_archive(
        lambda template: compressed(sound(run_of(template) | {"journal.jsonl": bytes(100 << 20)}))
    ),
    "archive: more than any disk": in_archive(
        lambda template: compressed(
            tarred(
                json.dumps(listing_of(run_of(template)) | {"bytes": 2**61}).encode(), lambda _: None
            )
        )
    ),
    "foreign: a zip with a directory of four gigabytes": in_file(
        "a.zip", lambda path: sparse(path, (1 << 32) + 99, b"PK\x03\x04", END_OF_ZIP)
    ),
    "foreign: a pickle with an array of eight gigabytes": in_file(
        "a.pkl",
        lambda path: sparse(
            path, (1 << 33) + 12, b"\x80\x04\x8e" + struct.pack("<Q", 1 << 33), b"."
        ),
    ),
    "foreign: a pickle with a line of a tebibyte": in_file(
        "a.pkl", lambda path: sparse(path, 1 << 30, b"\x80\x02I5")
    ),
    "foreign: a header of lists": in_file(
        "a.safetensors", lambda path: path.write_bytes(safetensors(LISTS))
    ),
    "foreign: a tebibyte of safetensors": in_file(
        "a.safetensors", lambda path: sparse(path, 1 << 40, struct.pack("<Q", 99_999_999))
    ),
}


@pytest.fixture(scope="module")
def told(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Provide what each bomb led to, in one process for all of them."""
    place = tmp_path_factory.mktemp("bombs")
    for name, put in BOMBS.items():
        (place / name).mkdir()
        put(place / name, template)
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("bombs.py")), str(place)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(tests)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = (line.partition(": ") for line in done.stdout.splitlines() if line[:1].strip())
    yield {f"{kind}: {rest.partition(': ')[0]}": rest.partition(": ")[2] for kind, _, rest in lines}
    shutil.rmtree(place)


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_does_not_go_off(told: dict[str, str], name: str) -> None:
    """Each door ends well, or in an error of ours; none asks for the memory."""
    assert told[name] in {"fine", "CorruptError", "ConfigError", "EvertrainError", "StateError"}
