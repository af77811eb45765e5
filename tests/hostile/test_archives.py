"""Archives from anybody: unpacked whole, or refused and nothing left; nothing ever outside."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evertrain.checkpoint.care.unarchive import unarchive
from evertrain.core.errors import CorruptError, EvertrainError, FormatError, UsageError
from hostile.archives import (
    MEMBERS,
    WHOLE,
    Forge,
    listing_of,
    run_of,
    sound,
    tarred,
    with_file,
    with_listing,
)
from hostile.documents import DOCUMENTS, VALUES, Attack
from hostile.doors import check_error, ended
from hostile.witness import harmless

Pack = Callable[[bytes], bytes]


def plain(data: bytes) -> bytes:
    """Return an archive as it is."""
    return data


def packed(data: bytes) -> bytes:
    """Return an archive compressed."""
    return bytes(pytest.importorskip("zstandard").ZstdCompressor().compress(data))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a directory of its own, deep enough for a way up to lead somewhere."""
    path = tmp_path / "a" / "b"
    path.mkdir(parents=True)
    monkeypatch.chdir(path)
    return path


def refused(data: bytes, place: Path, outside: Path) -> EvertrainError | None:
    """Unpack; return the error, after which nothing is left, or None if a whole run is there."""
    bad = outside.parent / "bad.tar"
    bad.write_bytes(data)
    found: EvertrainError | None = None
    for to in (None, place / "back"):
        try:
            with harmless(outside, place):
                unarchive(bad, to)
        except EvertrainError as error:
            check_error("unarchive", error)
            assert list(place.iterdir()) == []
            found = error
        else:
            assert [each.name for each in place.iterdir()] == [to.name if to else "r"]
            ended(("verify", str(to or "r")))
            Path(to or "r").rename(place.parent / f"done-{to is None}")
    with harmless(outside, place):
        ended(("unarchive", str(bad), "--to", str(place / "again")))
    shutil.rmtree(place / "again", ignore_errors=True)
    return found


@pytest.mark.parametrize("forge", MEMBERS.values(), ids=MEMBERS)
def test_a_hostile_member(template: Path, place: Path, outside: Path, forge: Forge) -> None:
    """Names, links, devices, sizes: what no archive of ours has."""
    error = refused(forge(run_of(template)), place, outside)
    assert isinstance(error, (CorruptError, FormatError)), error


@pytest.mark.parametrize("pack", [plain, packed])
@pytest.mark.parametrize("change", WHOLE.values(), ids=WHOLE)
def test_a_hostile_file(
    template: Path, place: Path, outside: Path, change: Callable[[bytes], bytes], pack: Pack
) -> None:
    """What is no archive at all, or more than one."""
    error = refused(pack(change(sound(run_of(template)))), place, outside)
    assert isinstance(error, (CorruptError, FormatError)), error


@pytest.mark.parametrize("pack", [plain, packed])
def test_a_sound_one_is_unpacked(template: Path, place: Path, outside: Path, pack: Pack) -> None:
    """What refuses the others is what is forged in them."""
    assert refused(pack(sound(run_of(template))), place, outside) is None


@pytest.mark.parametrize("attack", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_hostile_listing(template: Path, place: Path, outside: Path, attack: Attack) -> None:
    """Nothing is unpacked on its word."""
    files = run_of(template)
    error = refused(with_listing(attack)(files), place, outside)
    assert error is not None or json.loads(attack(json.dumps(listing_of(files)).encode()))


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("key", ["format", "name", "bytes", "files", "row", "digest", "size"])
def test_a_hostile_value(template: Path, place: Path, outside: Path, key: str, kind: str) -> None:
    """Whatever stands in one member of the listing."""
    value = VALUES[kind]

    def change(text: bytes) -> bytes:
        listing: dict[str, Any] = json.loads(text)
        if key == "row":
            listing["files"]["run.json"] = value
        elif key in {"digest", "size"}:
            listing["files"]["run.json"]["blake3" if key == "digest" else "bytes"] = value
        else:
            listing[key] = value
        return json.dumps(listing).encode()

    refused(with_listing(change)(run_of(template)), place, outside)


@pytest.mark.parametrize("attack", DOCUMENTS.values(), ids=DOCUMENTS)
@pytest.mark.parametrize("name", ["run.json", "checkpoints/000000003/manifest.json"])
def test_a_hostile_run_inside(
    template: Path, place: Path, outside: Path, name: str, attack: Attack
) -> None:
    """The archive is sound, the run in it is not: it is never put in its place."""
    refused(with_file(name, attack)(run_of(template)), place, outside)


@pytest.mark.parametrize("name", [".git", ".ssh", "-rf", "~root", ".bashrc"])
def test_a_name_that_others_obey(template: Path, place: Path, outside: Path, name: str) -> None:
    """A run called `.git` would be a repository, with hooks: somebody has to name it."""
    files = {**run_of(template), "config": b"[core]\n\tfsmonitor = touch evil\n"}
    listing = listing_of(files) | {"name": name}

    def members(file: Any) -> None:
        from hostile.archives import add

        for path, data in files.items():
            add(file, f"{name}/{path}", data)

    (outside.parent / "bad.tar").write_bytes(tarred(json.dumps(listing).encode(), members, name))
    with pytest.raises(UsageError, match="--to"):
        unarchive(outside.parent / "bad.tar")
    assert list(place.iterdir()) == []
    unarchive(outside.parent / "bad.tar", place / "named")


def test_frames_behind_the_first_one_count(template: Path, place: Path, outside: Path) -> None:
    """Zstd allows several: what the second one holds is not passed over."""
    data = sound(run_of(template))
    assert refused(packed(data[:1024]) + packed(data[1024:]), place, outside) is None
    for path in place.parent.glob("done-*"):
        path.rename(path.with_name(f"first-{path.name}"))
    assert isinstance(refused(packed(data) + packed(b"evil"), place, outside), CorruptError)
    assert isinstance(refused(packed(data) + b"evil" * 99, place, outside), CorruptError)
