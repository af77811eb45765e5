"""Every bit of the small files, and the sore points of the large ones."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from corruption.damage import border_bits, flip
from evertrain import Run, every
from evertrain.checkpoint import Store, cut
from evertrain.checkpoint import manifest as manifests
from evertrain.checkpoint.check import check_files
from evertrain.checkpoint.contents import contents_of
from evertrain.checkpoint.directory import opened
from evertrain.checkpoint.read import read_manifest
from evertrain.checkpoint.verify import _check_file, faults_of
from evertrain.core.errors import CorruptError, FormatError
from evertrain.core.rundir import RunDir
from evertrain.testing import FakeClock

NEWEST = "000000003"
SMALL_BYTES = 4096


def small_files(run_dir: RunDir) -> list[Path]:
    """Return the files of the newest checkpoint that have at most 4 KiB, but the manifest."""
    found = sorted((run_dir.checkpoints / NEWEST).iterdir())
    return [
        each
        for each in found
        if each.stat().st_size <= SMALL_BYTES and each.name != manifests.MANIFEST
    ]


def test_every_byte_of_a_manifest(run_dir: RunDir) -> None:
    """Whichever has a bit flipped, it is no manifest any more."""
    path = run_dir.checkpoints / NEWEST / manifests.MANIFEST
    check_manifest(path, [8 * byte + byte % 8 for byte in range(path.stat().st_size)])


@pytest.mark.soak
def test_every_bit_of_a_manifest(run_dir: RunDir) -> None:
    """All of them."""
    path = run_dir.checkpoints / NEWEST / manifests.MANIFEST
    check_manifest(path, range(8 * path.stat().st_size))


def check_manifest(path: Path, bits: Iterable[int]) -> None:
    """Look that a manifest with one of these bits flipped is refused."""
    data = bytearray(path.read_bytes())
    for bit in bits:
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises((CorruptError, FormatError)):
            manifests.parse(bytes(data), path)
        data[bit // 8] ^= 1 << bit % 8
    assert manifests.parse(bytes(data), path).step == 3


def test_every_bit_of_each_small_file(run_dir: RunDir) -> None:
    """Whichever flips, verifying and loading both find it in that file."""
    files = small_files(run_dir)
    assert len(files) >= 6
    with opened(run_dir.checkpoints / NEWEST) as directory:
        manifest = read_manifest(directory)
        contents = contents_of(manifest)
        for path in files:
            inside = contents.get(path.name, [])
            for bit in bits_of(path):
                flip(path, bit)
                assert list(_check_file(directory, manifest, path.name, inside, {})), (path, bit)
                with pytest.raises(CorruptError, match=path.name):
                    check_files(directory, manifest, {path.name: inside})
                flip(path, bit)
    assert faults_of(run_dir.checkpoints / NEWEST, 3) == []


def bits_of(path: Path) -> Iterator[int]:
    """Yield every bit of a file of some hundred bytes; of larger ones, one of each byte."""
    size = path.stat().st_size
    for byte in range(size):
        yield from range(8 * byte, 8 * byte + 8) if size < 512 else (8 * byte + byte % 8,)


@pytest.mark.soak
def test_every_bit_of_each_small_file_by_every_door(run_dir: RunDir) -> None:
    """All of them, through `Store.verify` and `Store.load`."""
    store = Store(run_dir.path)
    for path in small_files(run_dir):
        for bit in range(8 * path.stat().st_size):
            flip(path, bit)
            assert path in {fault.path for fault in store.verify(3)}
            if path.name != manifests.METADATA:
                with pytest.raises(CorruptError):
                    store.load(3)
            flip(path, bit)


def test_borders_of_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first and the last byte, the header, both sides of every border between two parts."""
    monkeypatch.setattr(cut, "PART_BYTES", 2 << 20)
    size = (5 << 20) + 12_345
    with Run(tmp_path / "r", total=2, save=every(steps=1), clock=FakeClock()) as run:
        run.state.big = np.arange(size, dtype=np.uint8)  # one file of three parts
        for _ in run:
            run.wait()
    store = Store(tmp_path / "r")
    [path] = [each for each in (store.path / "000000002").iterdir() if each.stat().st_size > size]
    entry = store.load(2).manifest.files[path.name]
    count = 0
    for bit in border_bits(entry.bytes, entry.head_bytes, 2 << 20):
        flip(path, bit)
        assert path in {fault.path for fault in store.verify(2)}
        with pytest.raises(CorruptError, match=path.name):
            store.load(2)
        flip(path, bit)
        count += 1
    assert count >= 60
    assert store.verify() == []
