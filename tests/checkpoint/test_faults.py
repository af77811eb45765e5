"""Damage of any kind is found, and a hostile checkpoint is refused and runs nothing."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evertrain.checkpoint import About, Store
from evertrain.checkpoint.manifest import parse
from evertrain.checkpoint.read import read_checkpoint
from evertrain.core.errors import CorruptError, EvertrainError, FormatError, StateError
from evertrain.core.fs import LOCAL_FS

STEP = "000000007"
FILES = ("a.safetensors", "b.safetensors", "manifest.json", "metadata.json")
REFUSED = (CorruptError, FormatError, StateError)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Provide a store with one checkpoint of two files of the same size."""
    store = Store(tmp_path / "store")
    state = {
        "a": {"x": np.arange(5, dtype="u1"), "y": np.zeros(3)},
        "b": {"x": np.ones(5, "u1"), "y": np.ones(3)},
    }
    store.save(7, state, about=About(metrics={"m": 1.5}, score=1.5, stage="s"))
    return store


def write(path: Path, data: bytes) -> None:
    """Replace a committed file."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def flips(data: bytes) -> range:
    """Return bits to flip: all of them in a small file, a spread in a larger one."""
    bits = 8 * len(data)
    return range(0, bits, 1 if bits < 3000 else 7)


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit_is_found(store: Store, name: str) -> None:
    """One bit flipped anywhere in any file: verify names the file, load refuses what it reads."""
    path = store.path / STEP / name
    data = path.read_bytes()
    path.chmod(0o644)
    for bit in flips(data):
        torn = bytearray(data)
        torn[bit // 8] ^= 1 << bit % 8
        path.write_bytes(torn)
        assert {fault.path.name for fault in Store(store.path).verify()} == {name}, bit
        if name != "metadata.json":  # for people only: nothing is loaded from it
            with pytest.raises((CorruptError, FormatError)):
                Store(store.path).load(7)
    path.write_bytes(data)
    assert store.verify() == []


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "change", [lambda d: d[:-1], lambda _: b"", lambda d: d + b"\n", lambda d: d + b"\0" * 4096]
)
def test_every_changed_length_is_found(
    store: Store, name: str, change: Callable[[bytes], bytes]
) -> None:
    """A file that lost or gained bytes is found by its name."""
    path = store.path / STEP / name
    write(path, change(path.read_bytes()))
    assert {fault.path.name for fault in store.verify()} == {name}
    if name != "metadata.json":
        with pytest.raises(CorruptError):
            store.load(7)


@pytest.mark.parametrize("name", FILES)
def test_missing_file(store: Store, name: str) -> None:
    """A file that is gone is found."""
    (store.path / STEP / name).unlink()
    [fault] = store.verify(7)
    assert (fault.step, fault.path, fault.problem) == (7, store.path / STEP / name, "it is missing")


def test_extra_file(store: Store) -> None:
    """A file that the manifest does not list is found; the rest still loads."""
    (store.path / STEP / "notes.txt").write_text("mine")
    [fault] = store.verify()
    assert (fault.path.name, fault.problem) == ("notes.txt", "the manifest does not list it")
    assert store.load(7).info.step == 7


def test_swapped_files(store: Store) -> None:
    """Two files of one size, exchanged, are both found."""
    one, two = (store.path / STEP / name for name in FILES[:2])
    assert one.stat().st_size == two.stat().st_size
    data = one.read_bytes()
    write(one, two.read_bytes())
    write(two, data)
    assert {fault.path.name for fault in store.verify()} == {one.name, two.name}
    with pytest.raises(CorruptError, match="digest"):
        store.load(7)


def test_file_of_another_checkpoint(store: Store) -> None:
    """A part or a manifest that belongs to another step is found."""
    store.save(8, {"a": {"x": np.arange(5, dtype="u1") + 1, "y": np.zeros(3)}, "b": {}})
    here, there = store.path / STEP, store.path / "000000008"
    write(there / "a.safetensors", (here / "a.safetensors").read_bytes())
    assert {fault.path.name for fault in store.verify(8)} == {"a.safetensors"}
    write(there / "manifest.json", (here / "manifest.json").read_bytes())
    assert {fault.path.name for fault in store.verify(8)} == {"manifest.json"}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["link", "directory", "fifo"])
def test_no_regular_file(store: Store, name: str, kind: str, tmp_path: Path) -> None:
    """A link, a directory or a pipe in place of a file is refused, even if its bytes are right."""
    path = store.path / STEP / name
    path.rename(tmp_path / "elsewhere")
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)
    assert [fault.path.name for fault in store.verify()] == [name]
    if name != "metadata.json":
        with pytest.raises(CorruptError):
            store.load(7)


def test_linked_checkpoint_is_not_listed(store: Store, tmp_path: Path) -> None:
    """A link with the name of a step is no checkpoint: pruning must never follow one."""
    (store.path / STEP).rename(tmp_path / STEP)
    (store.path / STEP).symlink_to(tmp_path / STEP)
    assert store.list() == []


def forged(store: Store, change: Callable[[dict[str, Any]], Any]) -> Path:
    """Rewrite the manifest, with a digest that is right: an attacker can do that."""
    from blake3 import blake3

    path = store.path / STEP / "manifest.json"
    document = json.loads(path.read_bytes())
    del document["digest"]
    document = change(document) or document
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    body = text.rstrip(b"}\n") if isinstance(document, bytes) else text[:-1]
    body += b',\n"digest":"'
    digest = blake3(body + b"0" * 64 + b'"\n}\n').hexdigest().encode()
    write(path, body + digest + b'"\n}\n')
    return path


def nested(levels: int) -> Any:
    """Return lists in lists."""
    tree: Any = 1
    for _ in range(levels):
        tree = [tree]
    return tree


def put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change that sets one member."""

    def change(document: dict[str, Any]) -> None:
        *start, last = path
        node: Any = document
        for part in start:
            node = node[part]
        node[last] = value

    return change


def rename(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    """Return a change that calls a file by another name, everywhere."""

    def change(document: dict[str, Any]) -> None:
        document["files"][new] = document["files"].pop(old)
        for entries in document["arrays"].values():
            for entry in entries.values():
                entry["at"] = [[new if at[0] == old else at[0], *at[1:]] for at in entry["at"]]

    return change


X = ("arrays", "a", "x")


def place(change: Callable[[list[Any]], list[Any]]) -> Callable[[dict[str, Any]], None]:
    """Return a change of the place where one array lies: file, offset, parts."""

    def change_it(document: dict[str, Any]) -> None:
        entry = document["arrays"]["a"]["x"]
        entry["at"] = [change(entry["at"][0])]

    return change_it


def head(size_bytes: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change that says that the head of a file has another length."""
    return put("files", "a.safetensors", "head_bytes", value=size_bytes)


HOSTILE = {
    **{
        f"file name {name!r:.30}": rename("a.safetensors", name)
        for name in (
            "../../../etc/passwd",
            "/etc/passwd",
            "..",
            ".",
            "",
            "a/b.safetensors",
            "a\\b",
            "a\0b",
            ".hidden",
            "-rf",
            "manifest.json",
            "x" * 300,
            "a\n",
            "é.safetensors",
            "a..b",
        )
    },
    "newer format": put("format", value=2),
    "format as text": put("format", value="1"),
    "format true": put("format", value=True),
    "step negative": put("step", value=-1),
    "step huge": put("step", value=10**30),
    "step float": put("step", value=7.0),
    "step true": put("step", value=True),
    "other step": put("step", value=8),
    "kind": put("kind", value="evil"),
    "kind list": put("kind", value=["step"]),
    "unit": put("unit", value=None),
    "metrics": put("metrics", value=[]),
    "metric text": put("metrics", "m", value="1.5"),
    "metric object": put("metrics", "m", value={}),
    "score": put("score", value="high"),
    "is_best": put("is_best", value=1),
    "skeletons": put("skeletons", value=[]),
    "arrays": put("arrays", value=None),
    "array without an object": put("arrays", "zzz", value={}),
    "array no object": put(*X, value=5),
    "place missing": lambda d: d["arrays"]["a"]["x"].pop("at") and None,
    "places empty": put(*X, "at", value=[]),
    "places an object": put(*X, "at", value={}),
    "place a text": put(*X, "at", value=["a.safetensors"]),
    "place null": put(*X, "at", value=[None]),
    "place too short": place(lambda at: at[:2]),
    "place too long": place(lambda at: [*at, 1]),
    "place in a lost file": place(lambda at: ["c.safetensors", *at[1:]]),
    "place in another file": place(lambda at: ["b.safetensors", *at[1:]]),
    "place in metadata": place(lambda at: ["metadata.json", *at[1:]]),
    "place in the manifest": place(lambda at: ["manifest.json", *at[1:]]),
    "place in no file": place(lambda at: [None, *at[1:]]),
    "place in file 0": place(lambda at: [0, *at[1:]]),
    "offset negative": place(lambda at: [at[0], -1, at[2]]),
    "offset in the head": place(lambda at: [at[0], 8, at[2]]),
    "offset earlier": place(lambda at: [at[0], at[1] - 1, at[2]]),
    "offset later": place(lambda at: [at[0], at[1] + 1, at[2]]),
    "offset past the end": place(lambda at: [at[0], 10**9, at[2]]),
    "offset giant": place(lambda at: [at[0], 2**63, at[2]]),
    "offset beyond all": place(lambda at: [at[0], 10**30, at[2]]),
    "offset float": place(lambda at: [at[0], float(at[1]), at[2]]),
    "offset true": place(lambda at: [at[0], True, at[2]]),
    "parts negative": place(lambda at: [at[0], at[1], -1]),
    "parts none": place(lambda at: [at[0], at[1], 0]),
    "parts more": place(lambda at: [at[0], at[1], 2]),
    "parts giant": place(lambda at: [at[0], at[1], 10**30]),
    "parts true": place(lambda at: [at[0], at[1], True]),
    "parts cancel out": put(*X, "at", value=[["a.safetensors", 0, 2], ["a.safetensors", 0, -1]]),
    "place twice": lambda d: put(*X, "at", value=d["arrays"]["a"]["x"]["at"] * 2)(d),
    "place without parts": lambda d: put(
        *X, "at", value=[[*d["arrays"]["a"]["x"]["at"][0][:2], 0], *d["arrays"]["a"]["x"]["at"]]
    )(d),
    "places by the hundred thousand": lambda d: put(
        *X,
        "at",
        value=[[*d["arrays"]["a"]["x"]["at"][0][:2], 0]] * 100_000 + d["arrays"]["a"]["x"]["at"],
    )(d),
    "places of parts by the hundred thousand": put(
        *X, "at", value=[["a.safetensors", 200, 1]] * 100_000
    ),
    "two arrays in one place": lambda d: put(*X, "at", value=d["arrays"]["a"]["y"]["at"])(d),
    "array left out": lambda d: d["arrays"]["a"].pop("x") and None,
    "head larger than the file": head(10**6),
    "head giant": head(10**30),
    "head the whole file": lambda d: head(d["files"]["a.safetensors"]["bytes"])(d),
    "head negative": head(-1),
    "head none": head(0),
    "head one byte less": lambda d: head(d["files"]["a.safetensors"]["head_bytes"] - 1)(d),
    "head one byte more": lambda d: head(d["files"]["a.safetensors"]["head_bytes"] + 1)(d),
    "head float": head(8.0),
    "head true": head(size_bytes=True),
    "head missing": lambda d: d["files"]["a.safetensors"].pop("head_bytes") and None,
    "head of metadata": put("files", "metadata.json", "head_bytes", value=1),
    "bytes giant": put(*X, "bytes", value=2**61),
    "bytes wrong": put(*X, "bytes", value=4),
    "shape negative": put(*X, "shape", value=[-5]),
    "shape product": put(*X, "shape", value=[-5, -1]),
    "shape giant": put(*X, "shape", value=[2**40, 2**40]),
    "shape float": put(*X, "shape", value=[5.0]),
    "shape long": put(*X, "shape", value=[5] + [1] * 99),
    "dtype": put(*X, "dtype", value="O"),
    "dtype number": put(*X, "dtype", value=5),
    "digest a text": put(*X, "blake3", value="0" * 64),
    "digest no digest": put(*X, "blake3", value=["zz"]),
    "digest a number": put(*X, "blake3", value=[5]),
    "digest a list": put(*X, "blake3", value=[["0" * 64]]),
    "digest null": put(*X, "blake3", value=[None]),
    "digest wrong": put(*X, "blake3", value=["0" * 64]),
    "digests too few": put(*X, "blake3", value=[]),
    "digests too many": put(*X, "blake3", value=["0" * 64] * 2),
    "digests by the hundred thousand": put(*X, "blake3", value=["0" * 64] * 100_000),
    "file digest": put("files", "a.safetensors", "blake3", value="0" * 64),
    "file bytes": put("files", "a.safetensors", "bytes", value=2**61),
    "file true": put("files", "a.safetensors", "bytes", value=True),
    "overlap": lambda d: d["arrays"]["a"].update(z=d["arrays"]["a"]["x"]),
    "git": put("git", value="main"),
    "versions": put("versions", value={"python": 3}),
    "deep skeleton": put("skeletons", "a", value=nested(300)),
    "unknown kind": put("skeletons", "a", value={"$": "pickle", "data": "gASV"}),
    "lost key": put("skeletons", "a", value={"$": "array", "key": "nope"}),
    "registered": put(
        "skeletons", "a", value={"$": "registered", "name": "os.system", "tree": "id"}
    ),
    "infinite": put("skeletons", "a", value=[1e308 * 10]),
    "missing member": lambda d: d.pop("attempt") and None,
    "a list": lambda _: b'["a"',
    "key twice": lambda _: b'{"format":1,"format":1',
    "not a number": lambda _: b'{"format":1,"step":NaN',
    "overlong number": lambda _: b'{"format":1,"step":' + b"9" * 5000,
    "deep": lambda _: b'{"format":1,"step":' + b"[" * 200_000,
    "invalid text": lambda _: b'{"format":1,"unit":"\xff"',
    "lone surrogate": lambda _: b'{"format":1,"unit":"\xed\xa0\x80"',
    "only a digest": lambda _: b"{",
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_manifest(
    store: Store,
    change: Callable[[dict[str, Any]], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A forged manifest whose digest is right is refused; nothing is run or written."""
    monkeypatch.setattr(os, "system", lambda _: pytest.fail("code was run"))
    path = forged(store, change)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(REFUSED):
        store.load(7)
    with pytest.raises(REFUSED):
        read_checkpoint(path.parent)
    store.verify()
    store.list()
    assert sorted(tmp_path.rglob("*")) == before


def test_forging_works_at_all(store: Store) -> None:
    """The forger above makes manifests that load: what refuses them is not its digest."""
    forged(store, put("stage", value="forged"))
    assert store.load(7).info.stage == "forged"
    assert store.verify() == []


def test_verify_reads_what_load_skips(store: Store) -> None:
    """A manifest that disagrees with a file's own header, or with an array's digest, is found."""
    forged(store, put("arrays", "a", "x", "blake3", value=["0" * 64]))
    assert re.search("digest of 'x'", store.verify()[0].problem)


def test_verify_reads_the_header_that_load_ignores(store: Store) -> None:
    """Where a file's own header calls an array by another name, other readers would be misled."""

    def rename_it(document: dict[str, Any]) -> None:
        document["arrays"]["a"]["z"] = document["arrays"]["a"].pop("x")
        document["skeletons"]["a"]["x"]["key"] = "z"

    forged(store, rename_it)
    assert store.load(7).state["a"]["x"].tolist() == [0, 1, 2, 3, 4]
    problems = [fault.problem for fault in store.verify()]
    assert problems == [f"its header and the manifest disagree on {key!r}" for key in "xz"]


def test_more_than_the_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An array larger than the memory is no damage: the error asks for a larger machine."""

    def small_machine(count: int, dtype: Any) -> Any:
        raise MemoryError(count, dtype)

    monkeypatch.setattr(np, "empty", small_machine)
    with pytest.raises(StateError, match="an array of 24 bytes"):
        store.load(7)
    assert store.map(7).state["a"]["y"].tolist() == [0, 0, 0]


def test_giant_sparse_file(store: Store) -> None:
    """A file of a tebibyte that a manifest makes up is refused before it is read."""
    path = store.path / STEP / "a.safetensors"
    path.chmod(0o644)
    os.truncate(path, 2**40)

    def change(document: dict[str, Any]) -> None:
        entry = document["arrays"]["a"]["x"]
        document["files"]["a.safetensors"]["bytes"] = 2**40
        size_bytes = 2**40 - entry["at"][0][1]
        entry |= {"bytes": size_bytes, "shape": [size_bytes]}

    forged(store, change)
    with pytest.raises(CorruptError, match="524288 parts, 1 digests"):
        store.load(7)


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100
)
@given(
    data=st.data(),
    value=st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.just([])
    | st.just({}),
)
def test_any_member_may_be_anything(store: Store, data: st.DataObject, value: Any) -> None:
    """Whatever one member of a forged manifest is, loading ends in a state or in our errors."""
    original = (store.path / STEP / "manifest.json").read_bytes()

    def change(document: dict[str, Any]) -> None:
        node: Any = document
        while True:
            key = data.draw(st.sampled_from(sorted(node)))
            if not isinstance(node[key], dict) or not node[key] or data.draw(st.booleans()):
                break
            node = node[key]
        node[key] = value

    forged(store, change)
    try:
        read_checkpoint(store.path / STEP)
    except EvertrainError:
        pass
    finally:
        write(store.path / STEP / "manifest.json", original)


@settings(deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_no_manifest(data: bytes) -> None:
    """Random bytes are refused."""
    with pytest.raises((CorruptError, FormatError)):
        parse(data, Path("manifest.json"))


def test_copies_load(store: Store, tmp_path: Path) -> None:
    """A checkpoint is self-contained: a copy under any name loads, and rm -rf removes it."""
    shutil.copytree(store.path / STEP, tmp_path / "my-best")
    assert read_checkpoint(tmp_path / "my-best").state["b"]["x"].tolist() == [1] * 5
    LOCAL_FS.rmtree(tmp_path / "my-best")
    assert not (tmp_path / "my-best").exists()
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "my-best")
