"""`evertrain.supervise.foreign`: the newest whole checkpoint of any program."""

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from evertrain.core.errors import ConfigError, NotFoundError
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir
from evertrain.supervise.branch import Branch, remembered
from evertrain.supervise.foreign import (
    Found,
    all_count,
    before_newest,
    choose,
    resume_arguments,
    step_in,
)
from evertrain.supervise.wholeness import problem_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _zip(text: bytes = b"weights" * 500) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data", text)
    return file.getvalue()


def _safetensors() -> bytes:
    rows = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "__metadata__": {"a": "b"}}
    header = json.dumps(rows).encode()
    return struct.pack("<Q", len(header)) + header + bytes(8)


def _npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, w=np.arange(1000))
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("model_ep250.pt", 250),
        ("checkpoint_2500.pt", 2500),
        ("ppo_cartpole_100000_steps.zip", 100000),
        ("epoch=3-step=1200.ckpt", 1200),
        ("epoch=7-val_loss=0.25.ckpt", 7),
        ("checkpoint-500", 500),
        ("model_v2_ep30.pt", 30),
        ("iter_0000040", 40),
        ("v1.5-step30", 30),
        ("7.pt", 7),
        ("best.pt", None),
        ("model.h5", None),
        ("loss0.125.pt", None),
    ],
)
def test_the_step_in_a_name(name: str, step: int | None) -> None:
    """What people call their files, and the step that they mean."""
    assert step_in(name) == step


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.pt", _zip()),
        ("a.npz", _npz()),
        ("a.safetensors", _safetensors()),
        ("a.pkl", pickle.dumps({"a": list(range(100))})),
        ("a.pth", pickle.dumps({"a": list(range(100))}, protocol=4)),
        ("old.pkl", pickle.dumps({"a": list(range(100))}, protocol=0)),
    ],
)
def test_whole_files_pass_and_truncated_ones_do_not(folder: Path, name: str, data: bytes) -> None:
    """At no length but the full one is a file taken for whole."""
    path = folder / name
    path.write_bytes(data)
    assert problem_of(path) is None
    for length in {0, 1, 3, 9, len(data) // 2, len(data) - 1}:
        path.write_bytes(data[:length])
        assert problem_of(path) is not None, length


def test_a_file_whose_data_a_loss_of_power_took_is_not_whole(folder: Path) -> None:
    """Its length is right, and it holds zeros; as a part of a checkpoint that may be meant."""
    for name in ("a.pt", "model.h5", "weights"):
        (folder / name).write_bytes(bytes(200_000))
        assert problem_of(folder / name) == "nothing but zeros"
        (folder / name).write_bytes(bytes(200_000) + b"x")
        assert problem_of(folder / name) is None
    (folder / "step_5").mkdir()
    (folder / "step_5" / "momentum.bin").write_bytes(bytes(10))
    assert problem_of(folder / "step_5") is None


def test_a_flipped_bit_in_a_zip_is_found(folder: Path) -> None:
    """The directory is whole, the checksum of a member is not."""
    data = bytearray(_zip())
    data[200] ^= 1
    (folder / "a.pt").write_bytes(data)
    assert problem_of(folder / "a.pt") == "damaged zip (checksum of data)"


def test_a_hostile_pickle_is_walked_and_not_run(folder: Path) -> None:
    """Looking at a checkpoint never executes it."""

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(folder / "executed"),)

    (folder / "a.pkl").write_bytes(pickle.dumps(Hostile()))
    assert problem_of(folder / "a.pkl") is None
    assert not (folder / "executed").exists()


def test_a_safetensors_header_that_lies_is_found(folder: Path) -> None:
    """A header of absurd length or nonsense inside reads nothing beyond the file."""
    for data in (struct.pack("<Q", 1 << 60) + b"{}", struct.pack("<Q", 2) + b"[]"):
        (folder / "a.safetensors").write_bytes(data)
        assert problem_of(folder / "a.safetensors") is not None


def test_a_directory_is_as_whole_as_its_files(folder: Path) -> None:
    """A checkpoint may be a directory; empty ones and ones with a broken file are refused."""
    path = folder / "checkpoint-5"
    path.mkdir()
    assert problem_of(path) == "empty directory"
    (path / "weights.safetensors").write_bytes(_safetensors())
    (path / "marker").touch()
    assert problem_of(path) is None
    (path / "optimizer.pt").write_bytes(_zip()[:-9])
    assert problem_of(path) == "optimizer.pt: truncated zip"


def test_the_newest_by_step_and_not_by_time(folder: Path) -> None:
    """Numbers count as numbers, and the date of a copied file means nothing."""
    for step, at_s in ((9, 300), (10, 100), (2, 200)):
        path = folder / f"ep{step}.pt"
        path.write_bytes(_zip())
        os.utime(path, (at_s, at_s))
    found = choose("ep*.pt").found
    assert found is not None
    assert (str(found.path), found.step) == ("ep10.pt", 10)


def test_by_time_where_one_name_has_no_step(folder: Path) -> None:
    """`last.pt` among numbered ones: then the date decides."""
    for name, at_s in (("ep10.pt", 100), ("last.pt", 200)):
        (folder / name).write_bytes(_zip())
        os.utime(folder / name, (at_s, at_s))
    found = choose("*.pt").found
    assert found is not None
    assert found.path.name == "last.pt"


def test_damaged_ones_are_skipped_and_named(folder: Path) -> None:
    """The newest whole one is taken, and every newer one is reported."""
    for step in (1, 2, 3):
        (folder / f"ep{step}.pt").write_bytes(_zip())
    (folder / "ep3.pt").write_bytes(b"")
    (folder / "ep2.pt").write_bytes(_zip()[:100])
    choice = choose("*.pt")
    assert choice.found is not None
    assert choice.found.step == 1
    assert choice.skipped == ((Path("ep3.pt"), "empty file"), (Path("ep2.pt"), "truncated zip"))


def test_what_cannot_be_handed_over_is_passed_over(folder: Path) -> None:
    """`best.pt` has no number, and the command wants one: the newest that has one is taken."""
    for at_s, name in enumerate(["ep1.pt", "ep2.pt", "best.pt"]):
        (folder / name).write_bytes(_zip())
        os.utime(folder / name, (at_s, at_s))
    choice = choose("*.pt", template="--start {step}")
    assert choice.found is not None
    assert choice.found.step == 2
    assert choice.skipped == (
        (Path("best.pt"), "no number in its name, and --resume-arg wants {step}"),
    )
    older = before_newest("*.pt", all_count, "--start {step}")
    assert older is not None
    assert older.step == 1
    by_path = choose("*.pt", template="--resume {path}").found
    assert by_path is not None
    assert by_path.path == Path("best.pt")


def test_what_resume_may_say(folder: Path) -> None:
    """never, must, a step and a path; what is missing or damaged is an error."""
    with pytest.raises(NotFoundError, match="no whole checkpoint"):
        choose("*.pt", "must")
    for step in (1, 2):
        (folder / f"ep{step}.pt").write_bytes(_zip())
    assert choose("*.pt", "never").found is None
    for resume, name in (("must", "ep2.pt"), ("1", "ep1.pt"), ("ep1.pt", "ep1.pt")):
        found = choose("*.pt", resume).found
        assert found is not None
        assert found.path.name == name
    with pytest.raises(NotFoundError):
        choose("*.pt", "7")
    (folder / "ep1.pt").write_bytes(b"")
    with pytest.raises(ConfigError, match="not whole: empty file"):
        choose("*.pt", "1")


def test_links_into_nowhere_are_no_checkpoints(folder: Path) -> None:
    """A dangling `latest.pt` neither fails nor counts."""
    (folder / "latest.pt").symlink_to("gone.pt")
    assert choose("*.pt").found is None


def test_arguments_keep_spaces_of_paths() -> None:
    """Only the template is split, not what is put into it."""
    found = Found(Path("my models/ep 3.pt"), 3, 0.0)
    assert resume_arguments("--resume {path} --start={step}", found) == [
        "--resume",
        "my models/ep 3.pt",
        "--start=3",
    ]


def test_a_step_that_no_name_has_is_a_config_error() -> None:
    """{step} needs a number in the name."""
    with pytest.raises(ConfigError, match="no number in 'best"):
        resume_arguments("--start {step}", Found(Path("best.pt"), None, 0.0))


def _saved(name: str, at_s: float) -> Found:
    Path(name).write_bytes(b"weights")
    os.utime(name, (at_s, at_s))
    return Found(Path(name), step_in(name), at_s)


def _left(*found: Found) -> dict[str, float]:
    """Return what a rewind left behind."""
    return {str(each.path.absolute()): each.changed_at_s for each in found}


@pytest.mark.parametrize("anew_s", [31.0, 2.0])
def test_what_lies_behind_a_rewind_counts_once_it_is_written_anew(
    folder: Path, anew_s: float
) -> None:
    """Sent back to 5: 6 of the new branch counts, 7 and 21 of the old one do not.

    Whatever the clock says: it may have gone back since.
    """
    saved = [_saved(f"ep{step}.pt", step + 10.0) for step in (4, 5, 6, 7, 21)]
    branch = Branch(folder / "ep5.pt", _left(*saved[2:]))
    _saved("ep6.pt", anew_s)

    choice = choose("ep*.pt", split=branch.split)

    assert choice.found is not None
    assert choice.found.path == Path("ep6.pt")
    assert choice.abandoned == (Path("ep7.pt"), Path("ep21.pt"))


def test_behind_a_rewind_lies_at_least_its_own_checkpoint(folder: Path) -> None:
    """Before the new branch has saved, it goes on from there; if that is damaged, from before."""
    saved = [_saved(f"ep{step}.pt", 10.0 + step) for step in (4, 5, 6)]
    split = Branch(folder / "ep5.pt", _left(saved[2])).split

    assert choose("ep*.pt", split=split).found == Found(Path("ep5.pt"), 5, 15.0)
    Path("ep5.pt").write_bytes(b"")
    os.utime("ep5.pt", (15.0, 15.0))
    assert choose("ep*.pt", split=split).found == Found(Path("ep4.pt"), 4, 14.0)


def test_a_checkpoint_from_elsewhere_begins_a_branch(folder: Path) -> None:
    """Nothing of the old branch counts, and until there is something new it is the newest."""
    base = _saved("other.pt", 5.0)
    split = Branch(folder / "other.pt", _left(_saved("ep9.pt", 10.0))).split

    assert choose("ep*.pt", split=split).found == Found(folder / "other.pt", None, 5.0)
    assert choose("ep*.pt", split=split).abandoned == (Path("ep9.pt"),)
    assert base.step is None
    assert choose("ep*.pt", split=split).found is not None
    new = _saved("ep1.pt", 31.0)
    assert choose("ep*.pt", split=split).found == new


def test_after_a_fresh_start_only_what_is_new_counts(folder: Path) -> None:
    """Also where the names have no steps."""
    split = Branch(None, _left(_saved("old.pt", 10.0))).split

    assert choose("*.pt", split=split).found is None
    new = _saved("new.pt", 31.0)
    assert choose("*.pt", split=split).found == new


@pytest.mark.parametrize("odd", [None, "soon", True, [1]])
def test_a_rewind_that_the_journal_tells_oddly_is_none(tmp_path: Path, odd: object) -> None:
    """What somebody has put there breaks nothing."""
    run_dir = RunDir(tmp_path)
    Journal(run_dir.journal).record("rewound", left=odd, path=3)

    assert remembered(run_dir) == Branch()


def test_the_whole_one_before_the_newest(tmp_path: Path) -> None:
    """Damaged ones and those of an abandoned branch are passed over."""
    pattern = str(tmp_path / "ep*.bin")
    assert before_newest(pattern, all_count) is None
    for step in (1, 2, 3):
        (tmp_path / f"ep{step}.bin").write_text("x")
    (tmp_path / "ep2.bin").write_text("")
    found = before_newest(pattern, all_count)
    assert found is not None
    assert found.step == 1
    (tmp_path / "ep1.bin").unlink()
    assert before_newest(pattern, all_count) is None
