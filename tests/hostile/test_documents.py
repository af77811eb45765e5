"""Every file of a run, replaced by hostile ones, at every door: no crash, no code, no escape."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evertrain.core.document import MAX_DEPTH, MAX_VALUES, count_values, is_deep, parse_json
from evertrain.core.rundir import RunDir
from hostile.documents import (
    DOCUMENTS,
    VALUES,
    Attack,
    deep_objects,
    dumps,
    nested,
    seal,
    sealed,
    unsealed,
)
from hostile.doors import COMMANDS, READERS, WRITERS, WRITING, come_in
from hostile.witness import harmless
from support import sampled

NEWEST = "checkpoints/000000003"
# Files that are replaced together: none of them hides another one from its readers.
SLOTS = {
    "card": ["run.json"],
    "journal": ["journal.jsonl"],
    "manifest": [f"{NEWEST}/manifest.json"],
    "arrays": [f"{NEWEST}/net.safetensors"],
    "notes": [
        "metrics.jsonl",
        "lock",
        "supervisor.lock",
        "heartbeat",
        "checkpoints/index.json",
        f"{NEWEST}/metadata.json",
        "inbox/*.json",
        "logs/attempt-0001.log",
    ],
}
SEALED = {"checkpoints/index.json", f"{NEWEST}/manifest.json"}


def replace(run_path: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change the bytes of the file that `name` means, also one that is read-only."""
    path = next(run_path.glob(name))
    data = change(path.read_bytes())
    path.unlink()
    path.write_bytes(data)


def resealed(attack: Attack) -> Attack:
    """Return an attack on a sealed document whose digest is right afterwards."""
    return lambda whole: sealed(attack(unsealed(whole)))


def in_each_line(attack: Attack) -> Attack:
    """Return an attack on every line of a file."""
    return lambda whole: b"\n".join(map(attack, whole.splitlines())) + b"\n"


def enter(run_path: Path, outside: Path) -> None:
    """Go through every door; those that write may write beside the run only."""
    with harmless(outside):
        come_in(run_path, READERS, COMMANDS)
    with harmless(outside, run_path.parent):
        come_in(run_path, WRITERS, WRITING)


@pytest.mark.parametrize(
    "what", sampled(((slot, name) for slot in SLOTS for name in DOCUMENTS), 3), ids=str
)
def test_a_hostile_file(run_path: Path, outside: Path, what: tuple[str, str]) -> None:
    """Whatever a file of a run holds: each door ends well, or says what is wrong."""
    slot, attack = what[0], DOCUMENTS[what[1]]
    for name in SLOTS[slot]:
        change = in_each_line(attack) if name.endswith("jsonl") else attack
        replace(run_path, name, resealed(attack) if name in SEALED else change)

    enter(run_path, outside)


CARD = ["id", "created_at", "format", "unit", "seed", "command", "cwd", "config", "recipe"]
EVENT = ["time", "event", "attempt", "step", "pid", "host", "total", "why", "seconds", "from"]
LEASE = ["pid", "start_time", "boot_id", "host", "attempt", "since"]
ROW = ["step", "time", "attempt", "loss"]
MANIFEST = [
    "format", "step", "kind", "unit", "saved_at", "saved_at_s", "run_id", "attempt", "stage",
    "stage_index", "metrics", "metric_name", "metric_value", "score", "is_best", "parent",
    "skeletons", "arrays", "files", "versions", "git",
]  # fmt: skip
METADATA = ["step", "unit", "stage", "metrics", "metric_name", "metric_value"]
# The doors that show, or go by, what is in a file.
NEAR: dict[str, tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]] = {
    "run.json": ((), (("show", "runs/r"), ("status", "runs/r", "--json"), ("resume", "runs/r"))),
    "journal.jsonl": (
        ("next attempt", "story", "metrics"),
        (("status", "runs/r"), ("status", "runs/r", "--json"), ("ls",)),
    ),
    "metrics.jsonl": (("metrics",), (("status", "runs/r"),)),
    "lock": (("next attempt",), (("status", "runs/r"), ("resume", "runs/r"))),
    f"{NEWEST}/manifest.json": (
        ("load", "verify", "best"),
        (("ls", "runs/r", "--detailed"), ("show", "runs/r@latest"), ("ls", "runs/r", "--json")),
    ),
    f"{NEWEST}/metadata.json": ((), (("ls", "runs/r"), ("show", "runs/r@3", "--json"))),
    "inbox/*.json": (("pending",), ()),
}
MEMBERS = [
    *(("run.json", key) for key in CARD),
    *(("journal.jsonl", key) for key in EVENT),
    *(("metrics.jsonl", key) for key in ROW),
    *(("lock", key) for key in LEASE),
    *((f"{NEWEST}/manifest.json", key) for key in MANIFEST),
    *((f"{NEWEST}/metadata.json", key) for key in METADATA),
    *(("inbox/*.json", key) for key in ("verb", "step")),
]


def setting(name: str, key: str, value: Any) -> Attack:
    """Return what sets one member of the file called `name`."""

    def change(whole: bytes) -> bytes:
        document = json.loads(whole) | {key: value}
        return seal(document) if name in SEALED else dumps(document)

    return in_each_line(change) if name.endswith("jsonl") else change


@pytest.mark.parametrize("member", sampled(MEMBERS, 3), ids=str)
def test_a_hostile_member(run_path: Path, outside: Path, member: tuple[str, str]) -> None:
    """Whatever stands in one member of a file that is right otherwise."""
    name, key = member
    path = next(run_path.glob(name))
    whole = path.read_bytes()
    for value in VALUES.values():
        path.unlink()
        path.write_bytes(setting(name, key, value)(whole))
        doors, commands = NEAR[name]
        with harmless(outside):
            come_in(run_path, {door: READERS[door] for door in doors}, commands)


@pytest.mark.parametrize(
    "what",
    sampled(((name, kind) for name in sorted({name for name, _ in MEMBERS}) for kind in VALUES), 3),
    ids=str,
)
def test_a_hostile_member_at_the_doors_that_write(
    run_path: Path, outside: Path, what: tuple[str, str]
) -> None:
    """The same for a resume, an archive and a fresh start, with all members of a kind at once."""
    name, kind = what
    keys = [key for other, key in MEMBERS if other == name and key not in {"event", "format"}]
    for key in keys:
        replace(run_path, name, setting(name, key, VALUES[kind]))

    with harmless(outside, run_path.parent):
        come_in(run_path, WRITERS, WRITING)


def test_forging_works_at_all(run_path: Path) -> None:
    """What refuses the forged manifests is not their digest."""
    replace(run_path, f"{NEWEST}/manifest.json", setting(f"{NEWEST}/manifest.json", "unit", "day"))

    assert READERS["verify"](run_path) == []
    assert READERS["load"](run_path).info.step == 3  # type: ignore[attr-defined]


def test_an_escape_code_hides_no_command(run_path: Path) -> None:
    """What `resume` is about to run is shown, whatever its name tells a terminal."""
    replace(run_path, "run.json", setting("run.json", "command", ["evil", "\x1b[2K\rnice"]))

    come_in(run_path, {}, (("resume", "runs/r"),))


@pytest.mark.parametrize(
    "data",
    [
        nested(101),
        deep_objects(101),
        b'{"a":' + nested(100) + b"}",
        b"[" * 200 + b'"]"' + b"]" * 199,
        nested(500_000),
        b"[NaN]",
        b"[1,2",
        b'{"a":1,"a":2}',
        b"9" * 1_001,
        b"[" + b"0," * (MAX_VALUES + 9) + b"0]",
        b'"\xff"',
        b"",
        b"[" * 300 + b'"' + b'\\"' * 1_000_000,
    ],
    ids=lambda data: repr(data[:12]),
)
def test_what_no_document_may_be(data: bytes) -> None:
    """One kind of error for whatever is too deep, too long, ambiguous or no JSON."""
    with pytest.raises(ValueError, match=r"\w"):
        parse_json(data, max_bytes=len(data) + 1)


def test_brackets_in_strings_are_no_depth() -> None:
    """A text may hold what it likes."""
    text = "[" * 500 + '"{' * 500 + "\\"
    assert parse_json(dumps({"a": [text]})) == {"a": [text]}
    assert not is_deep(dumps([[text] * 99]), 2)
    assert is_deep(dumps([[text] * 99]), 1)


def test_as_deep_as_is_allowed() -> None:
    """The limit itself is fine, however lists and objects alternate."""
    data = b'[{"a":' * (MAX_DEPTH // 2) + b"1" + b"}]" * (MAX_DEPTH // 2)
    assert not is_deep(data, MAX_DEPTH)
    assert is_deep(b"[" + data + b"]", MAX_DEPTH)
    assert parse_json(data)


def test_values_are_never_counted_too_low() -> None:
    """What the parser would build is at most what was counted before it."""
    for data in (b"[]", b"[1]", b'{"a":[1,2,{}]}', b"[[],[],[0]]"):
        built = data.count(b"[") + data.count(b"{") + data.count(b"1") + data.count(b"2")
        assert count_values(data) >= built + data.count(b"0")


def test_a_config_that_could_not_be_read_again_is_refused(tmp_path: Path) -> None:
    """What goes into run.json must come back out of it."""
    from evertrain import Run
    from evertrain.core.errors import UsageError

    for config in ({"a": json.loads(nested(101))}, {"a": "x" * (17 << 20)}, {"a": 10**1200}):
        with pytest.raises(UsageError, match="cannot be written"):
            Run(tmp_path / "run", total=1, config=config)
    assert not RunDir(tmp_path / "run").identity.exists()
