"""The index spares readers the manifests, and never tells them anything wrong."""

import json
from pathlib import Path

import pytest

from evertrain.checkpoint import About, Store, catalog
from evertrain.checkpoint.index import read_index


def filled(path: Path, *steps: int) -> Store:
    """Return a store with a checkpoint of each of `steps`."""
    store = Store(path)
    for step in steps:
        metrics = {"m": float("nan"), "n": -0.5}
        about = About(score=step + 0.1, stage="s", stage_index=2, attempt=3, metrics=metrics)
        store.save(step, {"s": step}, about=about)
    return store


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record which manifests are read."""
    found: list[str] = []
    real = vars(catalog)["_read"]

    def recorded(path: Path) -> object:
        found.append(path.name)
        return real(path)

    monkeypatch.setattr(catalog, "_read", recorded)
    return found


def test_a_new_reader_reads_no_manifest(tmp_path: Path, reads: list[str]) -> None:
    """A second process lists what the first one saved from the index alone, all of it equal."""
    known = filled(tmp_path, 1, 2, 3).list()
    reads.clear()
    assert repr(Store(tmp_path).list()) == repr(known)
    assert reads == []


@pytest.mark.parametrize("damage", ["bit", "missing", "text", "format", "rows", "empty"])
def test_a_bad_index_is_ignored(tmp_path: Path, reads: list[str], damage: str) -> None:
    """Whatever happened to the index, the manifests are the truth."""
    known = filled(tmp_path, 1, 2).list()
    path = tmp_path / "index.json"
    data = bytearray(path.read_bytes())
    if damage == "bit":
        data[data.index(b'"score":2.1') + 8] ^= 1
    changed: dict[str, bytes | bytearray] = {
        "bit": bytes(data),
        "text": b"\xff",
        "format": data.replace(b'"format":1', b'"format":2'),
        "rows": data.replace(b'"checkpoints":[', b'"checkpoints":[5,'),
        "empty": b"",
    }
    path.unlink()
    if damage != "missing":
        path.write_bytes(changed[damage])
    reads.clear()
    assert repr(Store(tmp_path).list()) == repr(known)
    assert reads == ["000000001", "000000002"]


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """One flipped bit anywhere makes the index unknown, never wrong."""
    filled(tmp_path, 1)
    path = tmp_path / "index.json"
    data = path.read_bytes()
    for bit in range(0, 8 * len(data), 5):
        torn = bytearray(data)
        torn[bit // 8] ^= 1 << bit % 8
        path.write_bytes(torn)
        assert read_index(tmp_path) == {}


def test_a_replaced_manifest_is_read_again(tmp_path: Path, reads: list[str]) -> None:
    """A row counts only for the very manifest that it was written from."""
    filled(tmp_path, 1, 2)
    old = json.loads((tmp_path / "000000002" / "manifest.json").read_bytes())
    (tmp_path / "000000002").rename(tmp_path.parent / f"{tmp_path.name}-old")
    other = Store(tmp_path.parent / f"{tmp_path.name}-other")
    other.save(2, {"s": 2}, about=About(attempt=9))
    (other.path / "000000002").rename(tmp_path / "000000002")
    reads.clear()
    assert Store(tmp_path).list()[-1].attempt == 9 != old["attempt"]
    assert reads == ["000000002"]


def test_a_copy_that_followed_the_links_still_opens(tmp_path: Path) -> None:
    """Where `latest` has become a directory, the run goes on; a warning says what is stale."""
    store = Store(tmp_path)
    store.save(1, {"a": 1})
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").mkdir()

    with pytest.warns(RuntimeWarning, match="the checkpoints themselves are safe"):
        Store(tmp_path).recover()

    assert [info.step for info in Store(tmp_path).list()] == [1]
