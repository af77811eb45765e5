"""One checkpoint, or a part of it, as a file that other programs read.

Layer: checkpoint. Imports core only.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evertrain.checkpoint import parts
from evertrain.checkpoint.care.standard import standard
from evertrain.checkpoint.directory import Opened, opened
from evertrain.checkpoint.manifest import Manifest
from evertrain.checkpoint.plugin import RawArray, Tree
from evertrain.checkpoint.read import read_arrays, read_checkpoint, read_manifest
from evertrain.core.errors import NotFoundError, UsageError
from evertrain.core.fs import LOCAL_FS, Bytes, Fs

OWN: Final = "run."  # what the run itself keeps: counters, generators


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a checkpoint.

    Attributes:
        owner: The attached object.
        inside: The way from there, by keys; empty for all of it.
    """

    owner: str
    inside: tuple[str, ...] = ()


def find_part(manifest: Manifest, name: str) -> Part:
    """Return what `name` means: an object, a part as "model.policy", or a part's last name.

    Raises:
        NotFoundError: There is no such thing, or there are several.
    """
    if name in manifest.skeletons:
        return Part(name)
    owner, _, rest = name.partition(".")
    if rest and _reaches(manifest.skeletons.get(owner), rest.split(".")):
        return Part(owner, tuple(rest.split(".")))
    owners = [each for each in manifest.skeletons if _reaches(manifest.skeletons[each], [name])]
    if len(owners) == 1:
        return Part(owners[0], (name,))
    raise NotFoundError(
        f"the checkpoint of step {manifest.step} holds {'no' if not owners else 'more than one'} "
        f"{name!r}.",
        f"it holds {', '.join(manifest.skeletons) or 'nothing'}.",
        "Name an attached object, or a part of one: --name model.policy",
    )


def flat_arrays(path: Path, name: str | None) -> dict[str, RawArray]:
    """Return the arrays of a checkpoint by dotted names, every byte checked.

    Args:
        path: Its directory.
        name: Which part; None takes all objects, each with its name before its arrays.

    Raises:
        CorruptError: It is damaged.
        NotFoundError: There is no such part, or no array in it.
        StateError: Its skeleton does not fit its arrays.
    """
    with opened(path) as directory:
        manifest = read_manifest(directory)
        if name is None:
            names = [each for each in manifest.arrays if not each.startswith(OWN)]
            found = {
                f"{each}/{key}": raw
                for each in names
                for key, raw in _arrays_of(directory, manifest, each).items()
            }
        else:
            part = find_part(manifest, name)
            found = _under(part.inside, _arrays_of(directory, manifest, part.owner))
    if not found:
        raise NotFoundError(
            f"{path} holds no array{f' in {name!r}' if name else ''}.",
            "this format holds arrays only.",
            "Leave --name out to export all of them.",
        )
    return _dotted(found)


def read_part(path: Path, name: str | None) -> Tree:
    """Return a part of a checkpoint as a tree; None as name takes all attached objects.

    Raises:
        CorruptError: It is damaged.
        NotFoundError: There is no such part.
        StateError: It needs a type that the program has not registered.
    """
    with opened(path) as directory:
        manifest = read_manifest(directory)
    if name is None:
        names = [each for each in manifest.skeletons if not each.startswith(OWN)]
        return read_checkpoint(path, names=names).state
    part = find_part(manifest, name)
    tree = read_checkpoint(path, names=[part.owner]).state[part.owner]
    for key in part.inside:
        tree = tree[key]
    return tree


def write_safetensors(arrays: Mapping[str, RawArray], out: Path, *, fs: Fs = LOCAL_FS) -> int:
    """Write arrays as one safetensors file; return its bytes.

    Raises:
        UsageError: `out` exists.
        OSError: The disk refused.

    Durability:
        As `write_new`.
    """
    layout = parts.plan(arrays)

    def chunks() -> Iterator[Bytes]:
        yield layout.head
        for key in layout.places:
            yield from parts.pieces(arrays[key].data)

    return write_new(out, chunks(), fs=fs)


def write_new(out: Path, chunks: Iterable[Bytes], *, fs: Fs = LOCAL_FS) -> int:
    """Write a file that does not exist yet; return its bytes.

    Raises:
        UsageError: It exists.
        OSError: The disk refused.

    Durability:
        After return the file survives a power cut; before that there is none.
    """
    refuse_existing(out)
    tmp = out.with_name(f".{out.name}.tmp-{os.getpid()}")
    try:
        count = fs.write(tmp, chunks)
        fs.sync_file(tmp)
        fs.replace(tmp, out)
    except Exception:
        with suppress(OSError):  # the first failure is the one to report
            fs.unlink(tmp)
        raise
    fs.sync_dir(out.parent)
    return count


def refuse_existing(out: Path) -> None:
    """Return if nothing is at `out`.

    Raises:
        UsageError: Something is.
    """
    if out.exists():
        raise UsageError(
            f"{out} exists.", "an export overwrites nothing.", "Give another: --out FILE"
        )


def _arrays_of(directory: Opened, manifest: Manifest, owner: str) -> dict[str, RawArray]:
    return standard(read_arrays(directory, manifest, owner), manifest.skeletons[owner])


def _under(way: tuple[str, ...], arrays: Mapping[str, RawArray]) -> dict[str, RawArray]:
    """Return the arrays below `way`, by the names that they have there, or the one that it is."""
    whole = "/".join(way)
    if whole in arrays:
        return {way[-1]: arrays[whole]}
    prefix = f"{whole}/" if way else ""
    return {k.removeprefix(prefix): raw for k, raw in arrays.items() if k.startswith(prefix)}


def _reaches(skeleton: object, keys: list[str]) -> bool:
    """Say whether the keys lead from dict to dict."""
    for key in keys:
        if not isinstance(skeleton, dict) or "$" in skeleton or key not in skeleton:
            return False
        skeleton = skeleton[key]
    return True


def _dotted(found: dict[str, RawArray]) -> dict[str, RawArray]:
    """Return names as state dicts have them, unless two would become one."""
    dotted = {key.replace("/", "."): raw for key, raw in found.items()}
    return dotted if len(dotted) == len(found) else found
