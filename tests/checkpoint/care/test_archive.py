"""A run becomes one file and comes back the same; a hostile file becomes nothing."""

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from evertrain import Run
from evertrain.checkpoint import Store
from evertrain.checkpoint.care import archive as archives
from evertrain.checkpoint.care import snapshot as snapshots
from evertrain.checkpoint.care import zstd
from evertrain.checkpoint.care.archive import archive, check
from evertrain.checkpoint.care.hold import Holder
from evertrain.checkpoint.care.unarchive import unarchive
from evertrain.checkpoint.commit import Tools
from evertrain.core import zstd as core_zstd
from evertrain.core.errors import (
    CorruptError,
    EvertrainError,
    FormatError,
    MissingExtraError,
    NotFoundError,
    UsageError,
)
from evertrain.core.fs import Bytes, LocalFs
from evertrain.core.rundir import RunDir
from evertrain.testing import CutFs, PowerCut
from runs import new_run, share, trained_run, tree_of
from support import walk


class FastFs(LocalFs):
    """A disk that does not wait for the medium."""

    def sync_file(self, path: Path) -> None:
        """Look that there is something to sync."""
        assert path.is_file()

    def sync_dir(self, path: Path) -> None:
        """Look that there is something to sync."""
        assert path.is_dir()


FAST = FastFs()


class Forbidding(FastFs):
    """A disk that lets nothing be written in one directory."""

    def __init__(self, place: Path, number: int) -> None:
        """Refuse with the error `number`."""
        self.place, self.number = place, number

    def refuse(self, path: Path) -> None:
        """Refuse what lies in the directory."""
        if path.is_relative_to(self.place):
            raise OSError(self.number, os.strerror(self.number), str(path))

    def mkdir(self, path: Path) -> None:
        """Refuse, or make it."""
        self.refuse(path)
        super().mkdir(path)

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        """Refuse, or write it."""
        self.refuse(path)
        return super().write(path, chunks)

    def link(self, src: Path, dst: Path) -> bool:
        """Refuse, or link it."""
        self.refuse(dst)
        return super().link(src, dst)

    def unlink(self, path: Path) -> None:
        """Refuse, or remove it."""
        self.refuse(path)
        super().unlink(path)

    def rmtree(self, path: Path) -> None:
        """Refuse what is there, or remove it."""
        if path.exists():
            self.refuse(path)
        super().rmtree(path)


def contents(run_dir: RunDir) -> dict[str, bytes]:
    """Return the files that an archive carries, by path."""
    derived = {"index.json", "latest", "best"}
    return {
        str(path.relative_to(run_dir.path)): path.read_bytes()
        for path in sorted(run_dir.path.rglob("*"))
        if path.is_file()
        and path.name not in derived
        and not any(part.startswith(".") for part in path.relative_to(run_dir.path).parts)
    }


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    """Provide a run with shared files, a pin, a log and a torn line."""
    found = trained_run(tmp_path / "runs" / "r")
    share(found.checkpoints, 10, 30)
    Store(found.checkpoints).pin(20)
    found.logs.mkdir()
    found.log(1).write_bytes(b"hello")
    (found.path / "notes").mkdir()
    (found.path / "notes" / "a.txt").write_text("mine")
    return found


@pytest.fixture(params=[".tar", ".tar.zst"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Provide the name of an archive, plain and compressed."""
    if request.param == ".tar.zst":
        try:
            zstd.check_name(Path("x.tar.zst"))
        except MissingExtraError:
            pytest.skip("needs evertrain[archive]")
    return tmp_path / f"r{request.param}"


def test_there_and_back(run_dir: RunDir, out: Path, tmp_path: Path) -> None:
    """Every file, every link between checkpoints, every pin; links and index are made anew."""
    listing = archive(run_dir, out)
    back = unarchive(out, tmp_path / "back")

    assert contents(back) == contents(run_dir)
    assert listing.files.keys() == contents(run_dir).keys()
    first, last = (back.checkpoints / n / "agent.safetensors" for n in ("000000010", "000000030"))
    assert first.stat().st_ino == last.stat().st_ino
    assert first.stat().st_mode & 0o777 == 0o444
    assert Store(back.path).verify() == []
    assert [info.is_pinned for info in Store(back.path).list()] == [False, True, False]
    assert (back.checkpoints / "latest").readlink() == Path("000000030")
    assert not list(tmp_path.glob(".*"))
    assert not list(run_dir.path.glob(".tmp*"))


FORBIDDEN = [errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC]


@pytest.mark.parametrize("number", FORBIDDEN, ids=errno.errorcode.get)
def test_a_run_that_cannot_be_written(run_dir: RunDir, tmp_path: Path, number: int) -> None:
    """Read-only, another's, or on a full disk: it is packed as any other, and not touched."""
    archive(run_dir, tmp_path / "first.tar")
    (run_dir.path / f".tmp-archive-{2**22 + 1}-0").mkdir()  # of one that was killed
    os.mkfifo(run_dir.checkpoints / "pins" / "000000010")  # nobody waits for it
    before = tree_of(run_dir.path)

    archive(run_dir, tmp_path / "r.tar", tools=Tools(fs=Forbidding(run_dir.path, number)))

    assert (tmp_path / "r.tar").read_bytes() == (tmp_path / "first.tar").read_bytes()
    assert tree_of(run_dir.path) == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_run_that_changes_and_cannot_be_held(
    run_dir: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_gone: bool
) -> None:
    """What another machine takes away meanwhile is said; there is no archive then."""
    file = run_dir.checkpoints / "000000020" / "agent.safetensors"
    check_checkpoints = archives._check_checkpoints

    def meanwhile(files: Any) -> None:
        check_checkpoints(files)
        data = file.read_bytes()
        file.unlink()
        if not is_gone:
            file.write_bytes(bytes(len(data)))

    monkeypatch.setattr(archives, "_check_checkpoints", meanwhile)
    tools = Tools(fs=Forbidding(run_dir.path, errno.EROFS))

    with pytest.raises(EvertrainError, match="changed while it was packed"):
        archive(run_dir, tmp_path / "r.tar", tools=tools)

    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_any_tar_reads_it(run_dir: RunDir, tmp_path: Path) -> None:
    """The format is a plain tar: a stranger's tool gets the same files."""
    archive(run_dir, tmp_path / "r.tar")
    with tarfile.open(tmp_path / "r.tar") as file:
        file.extractall(tmp_path / "x", filter="data")
    (tmp_path / "x" / "r" / "archive.json").unlink()
    assert contents(RunDir(tmp_path / "x" / "r")) == contents(run_dir)


def test_the_same_bytes(run_dir: RunDir, out: Path) -> None:
    """The same run gives the same archive."""
    archive(run_dir, out)
    again = out.with_name(f"again-{out.name}")
    archive(run_dir, again)
    assert out.read_bytes() == again.read_bytes()


def test_a_run_resumes_from_it(tmp_path: Path) -> None:
    """Training goes on from the unpacked run as it would have from the first."""
    with Run(tmp_path / "r", total=6) as run:
        run.state.x = np.zeros(3)
        for step in run:
            run.state.x = run.state.x + step
            run.log(loss=step)
            if step == 4:
                run.end_step()
                break
    archive(RunDir(tmp_path / "r"), tmp_path / "r.tar")
    back = unarchive(tmp_path / "r.tar", tmp_path / "s")
    ends = []
    for path in (tmp_path / "r", back.path):
        with Run(path, total=8, resume="latest") as run:
            run.state.x = np.zeros(3)
            walk(run)
            ends.append((run.state.x.tolist(), [row["step"] for row in run.metrics]))
    assert ends[0] == ends[1]


def test_only_some_checkpoints(run_dir: RunDir, tmp_path: Path) -> None:
    """Those that are named; one that is not there is an error."""
    archive(run_dir, tmp_path / "r.tar", steps=[20])
    back = unarchive(tmp_path / "r.tar", tmp_path / "back")
    assert [info.step for info in Store(back.path).list()] == [20]
    assert (back.checkpoints / "latest").readlink() == Path("000000020")
    with pytest.raises(NotFoundError, match="checkpoint 7"):
        archive(run_dir, tmp_path / "s.tar", steps=[7])
    assert not (tmp_path / "s.tar").exists()


def test_journal_and_metrics_end_with_a_line(run_dir: RunDir, tmp_path: Path) -> None:
    """What a live run is just writing is left for the next time."""
    whole = run_dir.journal.read_bytes()
    run_dir.journal.write_bytes(whole + b'{"torn')
    run_dir.metrics.write_bytes(b'{"torn from the first byte' * 9000)
    archive(run_dir, tmp_path / "r.tar")
    back = unarchive(tmp_path / "r.tar", tmp_path / "back")
    assert back.journal.read_bytes() == whole
    assert back.metrics.read_bytes() == b""


def test_an_attempt_that_begins_meanwhile(
    run_dir: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot is taken again; if that never ends, nothing is written."""
    real, count = vars(snapshots)["_hold_others"], 0

    def meanwhile(where: RunDir, holder: Holder) -> None:
        nonlocal count
        count += 1
        if count in limit:
            with where.journal.open("a") as file:
                file.write('{"event":"resumed"}\n')
        real(where, holder)

    monkeypatch.setattr(snapshots, "_hold_others", meanwhile)
    limit = range(1, 2)
    archive(run_dir, tmp_path / "r.tar")
    assert count == 2
    limit = range(100)
    with pytest.raises(EvertrainError, match="faster"):
        archive(run_dir, tmp_path / "s.tar")
    assert not (tmp_path / "s.tar").exists()
    assert not list(run_dir.path.glob(".tmp*"))


def test_a_checkpoint_that_is_pruned_meanwhile(
    run_dir: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the archive whole, or not at all."""
    real = vars(snapshots)["_hold"]

    def meanwhile(path: Path, target: Path, tools: Tools) -> None:
        if path.parent.name == "000000010" and path.exists():
            shutil.rmtree(path.parent)
        real(path, target, tools)

    monkeypatch.setattr(snapshots, "_hold", meanwhile)
    archive(run_dir, tmp_path / "r.tar")
    back = unarchive(tmp_path / "r.tar", tmp_path / "back")
    assert [info.step for info in Store(back.path).list()] == [20, 30]


def test_refusals(run_dir: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no archive can hold, and what it must not overwrite."""
    (tmp_path / "there.tar").write_text("mine")
    for name in ("there.tar", "x.zip", "x"):
        with pytest.raises(UsageError):
            archive(run_dir, tmp_path / name)
    assert (tmp_path / "there.tar").read_text() == "mine"
    (run_dir.path / "link").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match="neither a file nor a directory"):
        archive(run_dir, tmp_path / "r.tar")
    (run_dir.path / "link").unlink()
    (run_dir.path / os.fsdecode(b"\xff")).write_text("x")
    with pytest.raises(UsageError, match="UTF-8"):
        archive(run_dir, tmp_path / "r.tar")

    def no_library(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(core_zstd, "import_module", no_library)
    with pytest.raises(MissingExtraError, match="zstandard"):
        archive(run_dir, tmp_path / "r.tar.zst")


@pytest.mark.parametrize("name", ["agent.safetensors", "metadata.json", "manifest.json"])
@pytest.mark.parametrize("how", ["rot", "gone", "more"])
def test_a_damaged_checkpoint_is_not_packed(
    run_dir: RunDir, tmp_path: Path, name: str, how: str
) -> None:
    """An archive that could not be unpacked is never made."""
    path = run_dir.checkpoints / "000000020" / name
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.unlink()
    if how != "gone":
        path.write_bytes(data if how == "rot" else bytes(data) + b" ")
    with pytest.raises(CorruptError):
        archive(run_dir, tmp_path / "r.tar")
    assert not list(tmp_path.glob("*.tar"))
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("is_torn", [False, True])
def test_sigkill_while_packing(run_dir: RunDir, tmp_path: Path, *, is_torn: bool) -> None:
    """Killed before any operation: the run is untouched, the archive whole or not there."""
    before = contents(run_dir)
    counter = CutFs(FAST)
    archive(run_dir, tmp_path / "count.tar", tools=Tools(counter))
    for cut in range(counter.operations):
        out = tmp_path / str(cut) / "r.tar"
        with pytest.raises(PowerCut):
            archive(run_dir, out, tools=Tools(CutFs(FAST, cut_before=cut, is_torn=is_torn)))
        assert contents(run_dir) == before
        if out.exists():
            check(out)
        out.unlink(missing_ok=True)
        archive(run_dir, out)
    assert counter.operations > 15


def test_sigkill_while_unpacking(run_dir: RunDir, tmp_path: Path) -> None:
    """Killed before any operation: the run is there whole, or not at all."""
    archive(run_dir, tmp_path / "r.tar")
    counter = CutFs(FAST)
    unarchive(tmp_path / "r.tar", tmp_path / "count", tools=Tools(counter))
    for cut in range(counter.operations):
        target = tmp_path / str(cut) / "r"
        with pytest.raises(PowerCut):
            unarchive(tmp_path / "r.tar", target, tools=Tools(CutFs(FAST, cut_before=cut)))
        if target.exists():
            assert contents(RunDir(target)) == contents(run_dir)
            shutil.rmtree(target)
        unarchive(tmp_path / "r.tar", target, tools=Tools(FAST))
    assert counter.operations > 15


def test_every_flipped_byte_is_found(run_dir: RunDir, out: Path, tmp_path: Path) -> None:
    """Wherever an archive is damaged, nothing is unpacked, or all that was packed."""
    archive(run_dir, out)
    data, bad = out.read_bytes(), tmp_path / f"bad-{out.name}"
    for at in range(0, len(data), 97 if out.suffix == ".zst" else 487):
        torn = bytearray(data)
        torn[at] ^= 0x10
        bad.write_bytes(torn)
        try:
            unarchive(bad, tmp_path / "back")
        except (CorruptError, FormatError):
            assert not (tmp_path / "back").exists()
        else:
            assert contents(RunDir(tmp_path / "back")) == contents(run_dir)
            shutil.rmtree(tmp_path / "back")
    assert not list(tmp_path.glob(".*"))


def test_every_cut_is_found(run_dir: RunDir, out: Path, tmp_path: Path) -> None:
    """A file that ends too early is no archive."""
    archive(run_dir, out)
    data, bad = out.read_bytes(), tmp_path / f"bad-{out.name}"
    for length in range(0, len(data) - 1024, 331):
        bad.write_bytes(data[:length])
        with pytest.raises(CorruptError):
            unarchive(bad, tmp_path / "back")
    assert not (tmp_path / "back").exists()


FILES = {"run.json": b"{}", "a/b": b"x" * 700, "a/c": b"y"}


def forged(
    path: Path,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
    extra: Callable[[tarfile.TarFile], None] = lambda _: None,
    files: dict[str, bytes] = FILES,
    top: str = "r",
) -> Path:
    """Write an archive as an attacker would: with any listing, and any members."""
    rows = {p: {"bytes": len(d), "blake3": blake3(d).hexdigest()} for p, d in files.items()}
    listing: dict[str, Any] = {"format": 1, "name": top, "bytes": 5000, "files": rows}
    change(listing)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as file:
        put(file, f"{top}/archive.json", json.dumps(listing).encode())
        for name, data in files.items():
            put(file, f"{top}/{name}", data)
        extra(file)
    return path


def put(file: tarfile.TarFile, name: str, data: bytes = b"", **more: Any) -> None:
    """Add a member."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in more.items():
        setattr(info, key, value)
    file.addfile(info, io.BytesIO(data))


def declare(path: str, data: bytes = b"x") -> Callable[[dict[str, Any]], None]:
    """Return a change that declares one more file."""

    def change(listing: dict[str, Any]) -> None:
        row = {"bytes": len(data), "blake3": blake3(data).hexdigest()}
        listing["files"][path] = row

    return change


def setting(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change that sets one member of the listing."""
    return lambda listing: listing.__setitem__(key, value)


def raw(path: Path, data: bytes) -> Path:
    """Write any bytes."""
    path.write_bytes(data)
    return path


def member(name: str) -> Callable[[Path], Path]:
    """Return what makes an archive with one more file, declared and there."""
    return lambda path: forged(path, declare(name), lambda file: put(file, f"r/{name}", b"x"))


def named(top: str) -> Callable[[Path], Path]:
    """Return what makes an archive of a run of that name."""
    return lambda path: forged(path, top=top)


HOSTILE: dict[str, Callable[[Path], Path]] = {
    **{
        f"path {name!r}": member(name)
        for name in (
            "../evil",
            "/etc/evil",
            "a/../../evil",
            "a//d",
            "./a",
            "",
            "a/",
            "a/b/d",
            "archive.json",
            "x" * 256,
            "/".join("d" * 40),
        )
    },
    **{f"top {top!r}": named(top) for top in ("..", ".", "", "/", "../x", "a/b")},
    "not declared": lambda p: forged(p, extra=lambda f: put(f, "r/evil", b"x")),
    "outside": lambda p: forged(p, extra=lambda f: put(f, "../evil", b"x")),
    "twice": lambda p: forged(p, extra=lambda f: put(f, "r/a/b", b"x" * 700)),
    "missing": lambda p: forged(p, declare("gone")),
    "symlink": lambda p: forged(
        p, declare("l"), lambda f: put(f, "r/l", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    ),
    "link outside": lambda p: forged(
        p, declare("l"), lambda f: put(f, "r/l", type=tarfile.LNKTYPE, linkname="/etc/passwd")
    ),
    "link up": lambda p: forged(
        p, declare("l"), lambda f: put(f, "r/l", type=tarfile.LNKTYPE, linkname="r/../../evil")
    ),
    "link to itself": lambda p: forged(
        p, declare("l"), lambda f: put(f, "r/l", type=tarfile.LNKTYPE, linkname="r/l")
    ),
    "link to other bytes": lambda p: forged(
        p, declare("l"), lambda f: put(f, "r/l", type=tarfile.LNKTYPE, linkname="r/a/c")
    ),
    "directory": lambda p: forged(p, extra=lambda f: put(f, "r/d", type=tarfile.DIRTYPE)),
    "device": lambda p: forged(
        p, declare("d"), lambda f: put(f, "r/d", type=tarfile.CHRTYPE, devmajor=1, devminor=3)
    ),
    "fifo": lambda p: forged(p, declare("d"), lambda f: put(f, "r/d", type=tarfile.FIFOTYPE)),
    "sparse": lambda p: forged(
        p, declare("d"), lambda f: put(f, "r/d", b"x", type=tarfile.GNUTYPE_SPARSE)
    ),
    "another size": lambda p: forged(p, declare("a/b", b"x" * 701)),
    "another digest": lambda p: forged(p, declare("a/b", b"z" * 700)),
    "too much": lambda p: forged(p, setting("bytes", 100)),
    "negative": lambda p: forged(p, setting("bytes", -1)),
    "format 0": lambda p: forged(p, setting("format", 0)),
    "format 2": lambda p: forged(p, setting("format", 2)),
    "files": lambda p: forged(p, setting("files", [])),
    "name": lambda p: forged(p, setting("name", "s")),
    "no run": lambda p: forged(p, files={"a": b"x"}),
    "no identity": forged,
    "no listing": lambda p: forged(p, files={}, top="r/a"),
    "empty": lambda p: raw(p, b""),
    "zeros": lambda p: raw(p, bytes(4096)),
    "text": lambda p: raw(p, b"hello" * 500),
    "false zstd": lambda p: raw(p, b"\x28\xb5\x2f\xfd" + b"x" * 999),
    "tail": lambda p: raw(p, forged(p).read_bytes() + b"x" * 512),
    "long pax": lambda p: forged(
        p, declare("d"), lambda f: put(f, "r/d", b"x", pax_headers={"comment": "x" * 99_999})
    ),
    "pax size": lambda p: forged(
        p, declare("d"), lambda f: put(f, "r/d", b"x", pax_headers={"size": "9" * 5000})
    ),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_archives(
    tmp_path: Path, make: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused with our errors; nothing is written anywhere, and nothing is left."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "in" / "deep")
    make(tmp_path / "bad.tar")
    if make(tmp_path / "bad.tar").read_bytes()[:4] == b"\x28\xb5\x2f\xfd":
        pytest.importorskip("zstandard")
    for to in (None, tmp_path / "back"):
        with pytest.raises((CorruptError, FormatError)):
            unarchive(tmp_path / "bad.tar", to)
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert found == {"in", "in/deep", "bad.tar"}


def test_forging_works_at_all(tmp_path: Path) -> None:
    """What refuses the forgeries is what is forged: without it they are unpacked."""
    real = new_run(tmp_path / "real").identity.read_bytes()
    files = FILES | {"run.json": real}

    def link(file: tarfile.TarFile) -> None:
        put(file, "r/l", type=tarfile.LNKTYPE, linkname="r/a/c")

    path = forged(tmp_path / "good.tar", declare("l", b"y"), link, files)
    back = unarchive(path, tmp_path / "back")
    assert (back.path / "l").read_bytes() == b"y"
    assert (back.path / "a" / "b").read_bytes() == b"x" * 700


def test_more_than_the_disk_has(tmp_path: Path) -> None:
    """A bomb declares its size, or is cut off at what it declares."""
    path = forged(tmp_path / "bomb.tar", setting("bytes", 2**61))
    with pytest.raises(EvertrainError, match="has room for"):
        unarchive(path, tmp_path / "back")


@settings(deadline=None, max_examples=60)
@given(data=st.binary(max_size=3000))
def test_any_bytes_are_no_archive(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Random bytes are refused."""
    place = tmp_path_factory.mktemp("any")
    (place / "x.tar").write_bytes(data)
    with pytest.raises((CorruptError, FormatError, MissingExtraError)):
        unarchive(place / "x.tar", place / "back")


def test_an_existing_run_is_not_touched(run_dir: RunDir, tmp_path: Path) -> None:
    """Unpacking never overwrites, not even an empty directory or a dangling link."""
    archive(run_dir, tmp_path / "r.tar")
    before = contents(run_dir)
    (tmp_path / "dangling").symlink_to("nowhere")
    for target in (run_dir.path, tmp_path / "dangling"):
        with pytest.raises(UsageError, match="exists"):
            unarchive(tmp_path / "r.tar", target)
    assert contents(run_dir) == before


def test_where_it_goes(run_dir: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under `runs`, where there is one; else here."""
    archive(run_dir, tmp_path / "r.tar")
    for place in ("with/runs", "without"):
        (tmp_path / place).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "with")
    assert unarchive(tmp_path / "r.tar").path == tmp_path / "with" / "runs" / "r"
    monkeypatch.chdir(tmp_path / "without")
    assert unarchive(tmp_path / "r.tar").path == tmp_path / "without" / "r"


def test_a_disk_without_links(run_dir: RunDir, tmp_path: Path) -> None:
    """Where names cannot be shared, they are copied: nothing is lost but room."""

    class Copying(LocalFs):
        def link(self, src: Path, dst: Path) -> bool:
            """Copy."""
            shutil.copyfile(src, dst)
            return False

    tools = Tools(Copying())
    archive(run_dir, tmp_path / "r.tar", tools=tools)
    back = unarchive(tmp_path / "r.tar", tmp_path / "back", tools=tools)
    assert contents(back) == contents(run_dir)
    assert Store(back.path).verify() == []


TRAINER = """
import sys
import numpy as np
from evertrain import Run, every, keep_last

with Run(sys.argv[1], save=every(steps=1), keep=keep_last(3)) as run:
    run.state.x = np.zeros(999)
    for step in run:
        run.state.x = run.state.x + step
        run.log(loss=float(step))
"""


@pytest.mark.slow
def test_of_a_live_training(tmp_path: Path) -> None:
    """Packed while it saves and prunes at every step, the run is whole and goes on."""
    command = [sys.executable, "-c", TRAINER, str(tmp_path / "r")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as trainer:
        store = Store(tmp_path / "r" / "checkpoints")
        while store.latest() is None:
            assert trainer.poll() is None
        for number in range(4):
            archive(RunDir(tmp_path / "r"), tmp_path / f"{number}.tar")
            assert trainer.poll() is None
        trainer.send_signal(signal.SIGKILL)
    for number in range(4):
        back = unarchive(tmp_path / f"{number}.tar", tmp_path / str(number))
        newest = Store(back.path).latest()
        assert newest is not None
        with Run(back.path, total=newest.step + 3) as run:
            run.state.x = np.zeros(999)
            for step in run:
                run.state.x = run.state.x + step
                run.log(loss=float(step))
            assert np.all(run.state.x == sum(range(newest.step + 4)))
            assert [row["step"] for row in run.metrics] == list(range(1, newest.step + 4))
