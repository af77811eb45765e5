"""Any bytes, and any small change of sound ones: a value, or one of our errors, nothing else."""

import copy
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from evertrain.checkpoint import Store
from evertrain.checkpoint.care.archive import check as check_archive
from evertrain.checkpoint.care.listing import parse_listing
from evertrain.checkpoint.index import read_index
from evertrain.checkpoint.loose import read_arrays
from evertrain.checkpoint.manifest import parse
from evertrain.checkpoint.plugin import RawArray
from evertrain.checkpoint.tree import unflatten
from evertrain.config.document import parse_document
from evertrain.core.document import parse_json, parse_line
from evertrain.core.errors import EvertrainError
from evertrain.core.heartbeat import Heart, read_beat
from evertrain.core.journal import append_lines, encode_line, read_lines
from evertrain.core.lock import read_owner
from evertrain.core.request import pending
from evertrain.core.rundir import RunDir, read_identity
from evertrain.monitor.attempt import attempts_of
from evertrain.monitor.life import Life, decide
from evertrain.monitor.metrics import live_rows, series
from evertrain.supervise.wholeness import problem_of
from evertrain.supervise.wire import Order, decode_order, encode_order
from hostile.archives import sound
from hostile.configs import YAML
from hostile.documents import VALUES, seal
from hostile.doors import check_error
from hostile.foreign import PICKLES, SAFETENSORS, ZIPS, tensors, zipped

# What a parser stumbles over.
TOKENS: Final = (
    b"NaN", b"-Infinity", b"1e999", b"[" * 99, b"]", b"{", b"}", b'"', b"\\", b",", b":", b"\n",
    b"\0", b"\xff", b"\xed\xa0\x80", rb'"\ud800"', b"9" * 99, b"-", b"null", b"true", b"-1",
    b"../", b'{"$":"tuple","items":', b"&a ", b"*a", b"<<: ", b"!!int ", b"- ", b"? ", b"\t",
    b"\x1b[2J", b"PK\x01\x02", b"PK\x05\x06", b"\x28\xb5\x2f\xfd",
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Draw sound bytes with a few things done to them: flipped, cut, doubled, put in."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at, to = sorted(draw(st.tuples(*[st.integers(0, len(data))] * 2)))
        match draw(st.integers(0, 4)):
            case 0 if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case 1:
                del data[at:to]
            case 2:
                data[to:to] = data[at:to]
            case 3:
                data[at:at] = draw(st.sampled_from(TOKENS))
            case _:
                data[at:to] = draw(st.binary(max_size=8))
    return bytes(data)


# Copies: what is drawn is changed further, and the next example is to find it as it was.
_VALUES: Final = st.sampled_from(list(VALUES.values())).map(copy.deepcopy)
ODD: Final = _VALUES | st.integers() | st.floats() | st.text()


@st.composite
def changed(draw: st.DrawFn, document: Any) -> Any:
    """Draw a JSON document of which something, anywhere, is another value, gone, or there twice."""
    document = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        node = document
        while isinstance(node, dict | list) and node:
            key = draw(
                st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node)))
            )
            if not isinstance(node[key], dict | list) or draw(st.booleans()):
                _change(draw, node, key)
                break
            node = node[key]
    return document


def _change(draw: st.DrawFn, node: Any, key: Any) -> None:
    match draw(st.integers(0, 3)):
        case 0:
            del node[key]
        case 1 if isinstance(node, dict):
            node[draw(st.text(max_size=9))] = node[key]
        case 1:
            node.append(node[key])
        case 2:
            node[key] = [node[key]] * draw(st.integers(0, 3))
        case _:
            node[key] = draw(ODD)


@cache
def scratch() -> Path:
    """Return a directory to write to."""
    return Path(tempfile.mkdtemp(prefix="hostile-"))


def file_of(data: bytes, name: str) -> Path:
    """Write a file and return its path."""
    path = scratch() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path


@cache
def saved() -> dict[str, bytes]:
    """Return the files of a small checkpoint and its index, by name."""
    place = scratch() / "saved"
    state = {"x": np.arange(3.0), "n": (1, {"a": {2, 3}}), "g": np.random.default_rng(1)}
    Store(place).save(7, {"agent": state, "rest": [1.5, None, "x"]})
    paths = [*(place / "000000007").iterdir(), place / "index.json"]
    return {path.name: path.read_bytes() for path in paths}


def manifest() -> Any:
    """Return a sound manifest as a document."""
    return json.loads(saved()["manifest.json"])


JOURNAL: Final = b"".join(
    encode_line({"time": "2026-01-01T00:00:00.000Z", "event": event, "attempt": attempt, **more})
    for attempt in (1, 2)
    for event, more in (
        ("attempt_started", {"pid": 5, "host": "h", "total": 9}),
        ("resumed", {"step": 3}),
        ("saved", {"step": 4}),
        ("crashed", {"cause": "x", "seconds": 3.5}),
        ("ended", {"code": 1, "by": "shim", "phase": "running", "step_to": 4}),
        ("backoff", {"seconds": 3}),
    )
)
METRICS: Final = b"".join(encode_line({"step": n, "attempt": 1, "loss": n / 3}) for n in range(4))
CARD: Final = {
    "format": 1, "id": "x", "created_at": "now", "unit": "step", "seed": 1, "command": ["a"],
    "cwd": "/", "config": {"a": {"b": [1]}}, "recipe": None,
}  # fmt: skip
OWNER: Final = {
    "pid": 5, "start_time": 5, "boot_id": "b", "host": "h", "attempt": 1, "since": "now",
}  # fmt: skip
ARRAYS: Final = {"w": RawArray("U8", (4,), np.zeros(4, np.uint8))}


def tell(data: bytes) -> None:
    """Read a journal, and tell the story of the run."""
    rows = read_lines(file_of(data, "journal.jsonl")).rows
    attempts = attempts_of(rows)
    decide(rows, attempts, Life(), 1e9)
    series(live_rows(rows, rows))


def beat() -> bytes:
    """Return the bytes of a heartbeat."""
    with Heart(scratch() / "beat", 5) as heart:
        heart.beat(3, "save")
    return (scratch() / "beat").read_bytes()


def owe(row: Any) -> None:
    """Decode what a shim is told to start."""
    if isinstance(row, dict):
        decode_order(row)


def index_of(document: Any) -> None:
    """Read an index."""
    read_index(file_of(seal(document), "index.json").parent)


def append_to(data: bytes) -> None:
    """Append to a file that holds anything; the line is then the last one."""
    path = file_of(data, "torn.jsonl")
    append_lines(path, [{"n": 1}], sync=False)
    assert read_lines(path).rows[-1] == {"n": 1}


@dataclass(frozen=True)
class Target:
    """Something that reads what anybody may have written.

    Attributes:
        inputs: What it is given.
        read: What it does with it; our errors are fine.
        examples: How many are tried in every test run.
    """

    inputs: Callable[[], st.SearchStrategy[Any]]
    read: Callable[[Any], object]
    examples: int = 60


def some_bytes(*wholes: bytes) -> st.SearchStrategy[bytes]:
    """Return any bytes, and damaged ones that were sound."""
    return st.one_of(st.binary(max_size=200), *map(damaged, wholes))


HERE: Final = Path("here")
ORDER: Final = encode_order(
    Order(
        command=["x"],
        env={"A": "b"},
        run="/r",
        attempt=3,
        grace_s=1.5,
        size=(3, 4),
        resumed_from="y",
    )
)
TARGETS: Final[dict[str, Target]] = {
    "document": Target(lambda: some_bytes(json.dumps(CARD).encode()), parse_json),
    "line": Target(lambda: some_bytes(*JOURNAL.splitlines()[:3]), parse_line),
    "manifest": Target(
        lambda: some_bytes(saved()["manifest.json"]), lambda data: parse(data, HERE)
    ),
    "manifest, sealed": Target(
        lambda: changed(manifest()), lambda document: parse(seal(document), HERE), 150
    ),
    "checkpoint": Target(
        lambda: st.tuples(st.sampled_from(sorted(saved())), st.randoms()).flatmap(
            lambda pair: st.tuples(st.just(pair[0]), damaged(saved()[pair[0]]))
        ),
        lambda pair: load_with(*pair),
    ),
    "checkpoint, sealed": Target(
        lambda: changed(manifest()),
        lambda document: load_with("manifest.json", seal(document)),
        100,
    ),
    "skeleton": Target(
        lambda: changed(manifest()["skeletons"]), lambda node: unflatten(node, ARRAYS), 150
    ),
    "safetensors": Target(
        lambda: some_bytes(tensors(w=("F32", [4, 6], [0, 96]))),
        lambda data: read_arrays(file_of(data, "w.safetensors")),
    ),
    "index": Target(lambda: changed(json.loads(saved()["index.json"])), index_of),
    "journal": Target(lambda: some_bytes(JOURNAL), tell),
    "journal, by member": Target(
        lambda: changed([json.loads(line) for line in JOURNAL.splitlines()]),
        lambda rows: tell(b"\n".join(json.dumps(row).encode() for row in rows)),
        100,
    ),
    "metrics": Target(lambda: some_bytes(METRICS), tell),
    "append": Target(lambda: some_bytes(METRICS), append_to),
    "identity": Target(
        lambda: changed(CARD),
        lambda card: read_identity(
            RunDir(file_of(json.dumps(card).encode(), "run/run.json").parent)
        ),
    ),
    "lease": Target(
        lambda: some_bytes(json.dumps(OWNER).encode()),
        lambda data: read_owner(file_of(data, "lock")),
    ),
    "request": Target(
        lambda: some_bytes(b'{"verb": "pin", "step": 3}'),
        lambda data: list(pending(RunDir(file_of(data, "r/inbox/1-x.json").parents[1]))),
    ),
    "heartbeat": Target(
        lambda: some_bytes(beat()), lambda data: read_beat(file_of(data, "heartbeat"))
    ),
    "order": Target(lambda: changed(dict(ORDER)), owe),
    "config": Target(
        lambda: st.sampled_from(sorted(YAML, key=lambda name: len(YAML[name]))[:40]).flatmap(
            lambda name: damaged(YAML[name].encode())
        ),
        lambda data: parse_document(data.decode(errors="replace"), "x.yaml"),
        100,
    ),
    "listing": Target(
        lambda: some_bytes(b'{"format":1,"name":"r","bytes":1,"files":{"a":{"bytes":1}}}'),
        lambda data: parse_listing(data, HERE),
    ),
    "archive": Target(
        lambda: damaged(sound({"run.json": b"{}", "a/b": b"x" * 700})),
        lambda data: check_archive(file_of(data, "a.tar")),
        100,
    ),
    "archive, packed": Target(
        lambda: damaged(packed(sound({"run.json": b"{}", "a/b": b"x" * 700}))),
        lambda data: check_archive(file_of(data, "a.tar.zst")),
        100,
    ),
    "zip": Target(
        lambda: some_bytes(zipped({"a": b"x" * 99}), zipped({"a": b"x" * 99}, 8)),
        lambda data: problem_of(file_of(data, "a.zip")),
    ),
    "pickle": Target(
        lambda: some_bytes(*PICKLES.values()), lambda data: problem_of(file_of(data, "a.pkl"))
    ),
    "foreign": Target(
        lambda: some_bytes(*ZIPS.values(), *SAFETENSORS.values()),
        lambda data: problem_of(file_of(data, "a.pt")),
    ),
}  # fmt: skip


def packed(data: bytes) -> bytes:
    """Return it compressed."""
    return bytes(pytest.importorskip("zstandard").ZstdCompressor().compress(data))


def load_with(name: str, data: bytes) -> None:
    """Load a checkpoint of which one file is other bytes."""
    place = scratch() / "load"
    for each, whole in saved().items():
        where = "load" if each == "index.json" else "load/000000007"
        file_of(data if each == name else whole, f"{where}/{each}")
    Store(place).list()
    Store(place).verify()
    Store(place).load(7)


def explore(target: Target, examples: int) -> None:
    """Try that many inputs, the same ones every time."""

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(given_=target.inputs())
    def read(given_: Any) -> None:
        try:
            target.read(given_)
        except EvertrainError as error:
            check_error("fuzz", error)
        except ValueError:
            if target.read not in {parse_json, parse_line}:  # which have it for their error
                raise

    read()


@pytest.mark.parametrize("name", TARGETS)
def test_any_input_is_read_or_refused(name: str) -> None:
    """A few hundred inputs of every kind."""
    explore(TARGETS[name], TARGETS[name].examples)


@pytest.mark.soak
@pytest.mark.parametrize("name", TARGETS)
def test_any_input_is_read_or_refused_for_long(name: str) -> None:
    """Many more of them."""
    explore(TARGETS[name], 200 * TARGETS[name].examples)
