"""What a checkpoint says about itself: every array, every file, and its own digest.

The manifest is written last and read first. Its last line is the BLAKE3
digest of the whole file with the 64 digits of the digest itself written as
zeros, so a single flipped bit anywhere in it shows.

Layer: checkpoint. Imports core only.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args

from evertrain.checkpoint.cut import part_bytes, part_count
from evertrain.checkpoint.info import CheckpointInfo, Kind
from evertrain.checkpoint.parts import MAX_HEADER_BYTES, size_of, take_shape
from evertrain.checkpoint.strict import Fields, check_seal, dumps, float_to_json, loads, seal
from evertrain.core.document import DOCUMENT_BYTES, MAX_VALUES, count_values
from evertrain.core.errors import StateError
from evertrain.core.rundir import check_format

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
METADATA: Final = "metadata.json"
SUFFIX: Final = ".safetensors"
MAX_BYTES: Final = DOCUMENT_BYTES
CLOCK: Final = "clock"  # an attached object of this name holds times, which never repeat

_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_MAX_NAME: Final = 200
_MAX_STEM: Final = 100
_READ_BACK_BYTES: Final = 1 << 20
_KINDS: Final[dict[str, Kind]] = {kind: kind for kind in get_args(Kind)}
_HEX: Final = re.compile(r"[0-9a-f]{64}")

Json = Any


@dataclass(frozen=True, slots=True)
class Extent:
    """Parts of an array that lie in one file, back to back.

    Attributes:
        file: Name of the file.
        offset: First byte, from the start of the file.
        parts: How many.
    """

    file: str
    offset: int
    parts: int


@dataclass(frozen=True, slots=True)
class ArrayEntry:
    """One array, cut into parts as `cut` says.

    Attributes:
        dtype: Name of safetensors.
        shape: Sizes of its dimensions.
        bytes: Length.
        extents: Where its parts lie, in order.
        blake3: Digest of each part, hex.
    """

    dtype: str
    shape: tuple[int, ...]
    bytes: int
    extents: tuple[Extent, ...]
    blake3: tuple[str, ...]

    def spans(self) -> Iterator[tuple[Extent, int, int]]:
        """Yield each extent with its first and last byte (exclusive) within the array."""
        step, start = part_bytes(self.shape, self.bytes), 0
        for each in self.extents:
            end = min(start + each.parts * step, self.bytes)
            yield each, start, end
            start = end


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file.

    Attributes:
        bytes: Its size.
        blake3: Digest of its first `head_bytes`, hex; the parts behind them have their own.
        head_bytes: How many that are; all of them in a file without arrays.
    """

    bytes: int
    blake3: str
    head_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The contents of `manifest.json`; `docs/format.md` explains each field.

    Attributes:
        step: Step it was taken after.
        kind: Why it was taken.
        unit: What a step is called.
        saved_at: RFC 3339 time of the save.
        saved_at_s: The same in Unix seconds.
        run_id: Run it belongs to; empty if unknown.
        attempt: Attempt that wrote it.
        stage: Name of its stage, or None.
        stage_index: Number of its stage, or None.
        metrics: The live metrics of its step.
        metric_name: The metric that ranks it, or None.
        metric_value: That metric's value, or None.
        score: The same, made so that higher is better, or None.
        is_best: Whether it was the best one when it was saved.
        parent: Step of the checkpoint that the attempt resumed from, or None.
        skeletons: The trees, by name of the attached object.
        arrays: Their arrays, by name and key.
        files: The files besides this one, by name.
        versions: Versions of the software that wrote it.
        git: Commit of the program, or None.
        digest: BLAKE3 of the file, hex.
        size_bytes: Bytes of all files, this one included; not in the file.
    """

    step: int
    kind: Kind
    unit: str
    saved_at: str
    saved_at_s: float
    run_id: str
    attempt: int
    stage: str | None
    stage_index: int | None
    metrics: dict[str, float]
    metric_name: str | None
    metric_value: float | None
    score: float | None
    is_best: bool
    parent: int | None
    skeletons: dict[str, Json]
    arrays: dict[str, dict[str, ArrayEntry]]
    files: dict[str, FileEntry]
    versions: dict[str, str]
    git: dict[str, Json] | None
    digest: str = ""
    size_bytes: int = 0

    @property
    def own_bytes(self) -> int:
        """Bytes of `manifest.json` itself."""
        return self.size_bytes - sum(each.bytes for each in self.files.values())

    def digest_at(self, name: str, key: str, start: int) -> str:
        """Return the digest of the part of an array that begins at the byte `start`."""
        entry = self.arrays[name][key]
        return entry.blake3[start // part_bytes(entry.shape, entry.bytes)]


def encode(manifest: Manifest) -> bytes:
    """Return the bytes of `manifest.json`: one member a line, the digest last.

    Raises:
        StateError: It is larger than a reader accepts.
    """
    data = seal({name: dumps(_to_json(manifest, name)) for name in _MEMBERS})
    if len(data) > MAX_BYTES or count_values(data) > MAX_VALUES:
        raise StateError(
            f"the structure of the state needs {len(data)} bytes of JSON"
            f" and {count_values(data)} values.",
            f"a manifest may have {MAX_BYTES} and {MAX_VALUES}: it is read as a whole.",
            "Turn long lists of numbers into numpy arrays.",
        )
    return data


def sealed(manifest: Manifest, data: bytes, path: Path) -> Manifest:
    """Return a manifest as a reader will have it: with its digest and its bytes.

    A small one is read back; the reader's checks of a large one would cost seconds.

    Args:
        manifest: What was encoded.
        data: What it was encoded as.
        path: Where it was written.
    """
    if len(data) <= _READ_BACK_BYTES:
        return parse(data, path)
    size_bytes = len(data) + sum(each.bytes for each in manifest.files.values())
    return replace(manifest, digest=check_seal(data, path), size_bytes=size_bytes)


def parse(data: bytes, path: Path) -> Manifest:
    """Return what the bytes of a `manifest.json` say. Everything is checked, nothing run.

    Raises:
        FormatError: A newer version wrote it.
        CorruptError: It is not what evertrain wrote.
    """
    top = Fields(loads(data, path), path)
    check_format(path, top.take("format", int), FORMAT)
    digest = check_seal(data, path)
    files = _files(top.inner("files"))
    found = Manifest(
        step=top.count("step"),
        kind=take_kind(top),
        unit=top.take("unit", str),
        saved_at=top.take("saved_at", str),
        saved_at_s=top.time("saved_at_s"),
        run_id=top.take("run_id", str),
        attempt=top.count("attempt"),
        stage=top.take_or_none("stage", str),
        stage_index=top.count_or_none("stage_index"),
        metrics=take_numbers(top.inner("metrics")),
        metric_name=top.take_or_none("metric_name", str),
        metric_value=top.number_or_none("metric_value"),
        score=top.number_or_none("score"),
        is_best=top.take("is_best", bool),
        parent=top.count_or_none("parent"),
        skeletons=top.take("skeletons", dict),
        arrays=_arrays(top.inner("arrays"), files),
        files=files,
        versions=_texts(top.inner("versions")),
        git=top.take_or_none("git", dict),
        digest=digest,
        size_bytes=len(data) + sum(each.bytes for each in files.values()),
    )
    if not found.arrays.keys() <= found.skeletons.keys():
        top.fail("'arrays' names an object that 'skeletons' does not")
    return found


def to_info(manifest: Manifest, path: Path) -> CheckpointInfo:
    """Return what the rules and the listings need, for the checkpoint in the directory `path`."""
    return CheckpointInfo(
        step=manifest.step,
        saved_at_s=manifest.saved_at_s,
        kind=manifest.kind,
        score=manifest.score,
        metric_name=manifest.metric_name,
        attempt=manifest.attempt,
        size_bytes=manifest.size_bytes,
        metrics=manifest.metrics,
        stage=manifest.stage,
        stage_index=manifest.stage_index,
        path=path,
    )


def state_digest(manifest: Manifest) -> str:
    """Return a digest of the state alone: equal if and only if the state is, bit for bit.

    Times, attempts, metrics, versions and file names do not count, nor does
    the object called "clock".
    """
    from blake3 import blake3

    state = [
        [
            name,
            manifest.skeletons[name],
            [
                [key, each.dtype, list(each.shape), list(each.blake3)]
                for key, each in sorted(manifest.arrays.get(name, {}).items())
            ],
        ]
        for name in sorted(manifest.skeletons)
        if name != CLOCK
    ]
    return blake3(dumps(state).encode()).hexdigest()


def file_name(name: str, taken: Collection[str]) -> str:
    """Return the file for the arrays of the object `name`, unlike those `taken`.

    Args:
        name: What its name is made of, as far as a file can have it.
        taken: Names, casefolded: letter case does not tell files apart everywhere.
    """
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:_MAX_STEM].lstrip("-") or "_"
    found, count = stem + SUFFIX, 1
    while found.casefold() in taken:
        count += 1
        found = f"{stem}-{count}{SUFFIX}"
    return found


_MEMBERS: Final = (
    "format",
    "step",
    "kind",
    "unit",
    "saved_at",
    "saved_at_s",
    "run_id",
    "attempt",
    "stage",
    "stage_index",
    "metrics",
    "metric_name",
    "metric_value",
    "score",
    "is_best",
    "parent",
    "skeletons",
    "arrays",
    "files",
    "versions",
    "git",
)


def _to_json(manifest: Manifest, name: str) -> Json:
    if name == "format":
        return FORMAT
    value = getattr(manifest, name)
    if name == "metrics":
        return {key: float_to_json(each) for key, each in value.items()}
    if name == "arrays":
        return {key: _arrays_to_json(each) for key, each in value.items()}
    if name == "files":
        return {key: _file_to_json(each) for key, each in value.items()}
    return float_to_json(value) if isinstance(value, float) else value


def _file_to_json(entry: FileEntry) -> Json:
    return {"bytes": entry.bytes, "head_bytes": entry.head_bytes, "blake3": entry.blake3}


def _arrays_to_json(entries: Mapping[str, ArrayEntry]) -> Json:
    return {
        key: {
            "dtype": each.dtype,
            "shape": list(each.shape),
            "bytes": each.bytes,
            "at": [[extent.file, extent.offset, extent.parts] for extent in each.extents],
            "blake3": list(each.blake3),
        }
        for key, each in entries.items()
    }


def take_kind(top: Fields) -> Kind:
    """Return why it was taken.

    Raises:
        CorruptError: It is none of the known reasons.
    """
    found = _KINDS.get(said := top.take("kind", str))
    if found is None:
        top.fail(f"'kind' is {said!r:.40}")
    return found


def _files(fields: Fields) -> dict[str, FileEntry]:
    files = {}
    for name in fields.names():
        if not _FILE_NAME.fullmatch(name) or len(name) > _MAX_NAME or name == MANIFEST:
            fields.fail(f"{name!r:.60} is no name of a file of a checkpoint")
        each = fields.inner(name)
        entry = FileEntry(each.count("bytes"), _hex(each), each.count("head_bytes"))
        if entry.head_bytes > MAX_HEADER_BYTES:
            each.fail(f"'head_bytes' is {entry.head_bytes}")
        if entry.head_bytes > entry.bytes or (name == METADATA) > (entry.head_bytes == entry.bytes):
            each.fail(f"'head_bytes' is {entry.head_bytes} of {entry.bytes}")
        files[name] = entry
    return files


def _arrays(fields: Fields, files: Mapping[str, FileEntry]) -> dict[str, dict[str, ArrayEntry]]:
    found = {}
    for name in fields.names():
        inner = fields.inner(name)
        found[name] = {key: _array(inner.inner(key), files) for key in inner.names()}
    _check_tiled(fields, [each for entries in found.values() for each in entries.values()], files)
    return found


def _array(fields: Fields, files: Mapping[str, FileEntry]) -> ArrayEntry:
    dtype, shape, size_bytes = fields.take("dtype", str), take_shape(fields), fields.count("bytes")
    if size_of(dtype, shape) != size_bytes:
        fields.fail(f"{size_bytes} bytes are not {dtype} of shape {shape}")
    digests, places = fields.take("blake3", list), fields.take("at", list)
    count = part_count(shape, size_bytes)
    if len(digests) != count or not 0 < len(places) <= max(count, 1):  # before a long look at each
        fields.fail(f"it has {count} parts, {len(digests)} digests and {len(places)} places")
    if any(type(each) is not str or not _HEX.fullmatch(each) for each in digests):
        fields.fail("'blake3' holds something else than digests")
    extents = tuple(_extent(fields, each, files) for each in places)
    if sum(each.parts for each in extents) != count:
        fields.fail(f"it has {count} parts, its places hold others")
    if len(extents) != 1 and not all(each.parts for each in extents):
        fields.fail(f"'at' has {len(extents)} places, some without parts")
    return ArrayEntry(dtype, shape, size_bytes, extents, tuple(digests))


def _extent(fields: Fields, node: Json, files: Mapping[str, FileEntry]) -> Extent:
    is_known = type(node) is list and [type(each) for each in node] == [str, int, int]
    if not is_known or node[0] not in files or node[0] == METADATA:
        fields.fail(f"'at' has {node!r:.80}")
    if node[1] < 0 or node[2] < 0:
        fields.fail(f"'at' has {node!r:.80}")
    return Extent(*node)


def _check_tiled(fields: Fields, entries: list[ArrayEntry], files: Mapping[str, FileEntry]) -> None:
    """Refuse parts that overlap or leave holes: each byte of a file has exactly one digest."""
    ends = {name: entry.head_bytes for name, entry in files.items()}
    placed = [(extent, end - start) for each in entries for extent, start, end in each.spans()]
    for extent, length in sorted(placed, key=lambda each: (each[0].offset, each[1])):
        if extent.offset != ends[extent.file]:
            fields.fail(f"{extent.file} has no parts, or two, at byte {ends[extent.file]}")
        ends[extent.file] += length
    for name, entry in files.items():
        if ends[name] != entry.bytes:
            fields.fail(f"{name} has {entry.bytes} bytes, its parts end at {ends[name]}")


def _hex(fields: Fields) -> str:
    found = fields.take("blake3", str)
    if not _HEX.fullmatch(found):
        fields.fail(f"'blake3' is {found!r:.80}")
    return found


def take_numbers(fields: Fields) -> dict[str, float]:
    """Return an object of numbers.

    Raises:
        CorruptError: It holds anything else.
    """
    return {name: fields.number(name) for name in fields.names()}


def _texts(fields: Fields) -> dict[str, str]:
    return {name: fields.take(name, str) for name in fields.names()}
