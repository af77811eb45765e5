"""`evertrain show RUN[@CHECKPOINT]`: what is known about a run or a checkpoint.

Layer: cli.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from evertrain.checkpoint.manifest import MANIFEST, MAX_BYTES, Manifest, parse, state_digest
from evertrain.cli.facts import checkpoint_json, demoted, kind, run_json
from evertrain.cli.render import (
    Column,
    clean,
    json_option,
    local_time,
    number,
    print_json,
    print_pairs,
    print_table,
    size,
)
from evertrain.cli.target import Target, checkpoint_of, parse_target
from evertrain.core.regular import read_regular
from evertrain.monitor.read import RunStatus, metadata_of, status


@click.command(epilog="Example: evertrain show runs/trading@best")
@click.argument("target", metavar="RUN[@CHECKPOINT]")
@json_option
def show(*, target: str, as_json: bool) -> None:
    """Show a run or one of its checkpoints.

    CHECKPOINT is latest, best or a step. What is shown comes from its metadata
    and manifest; `evertrain verify` reads the bytes as well.
    """
    named = parse_target(target)
    found = status(named.run_dir)
    if named.which is None:
        _show_run(found, as_json=as_json)
    else:
        _show_checkpoint(named, found, as_json=as_json)


def _show_run(found: RunStatus, *, as_json: bool) -> None:
    known = found.identity
    about = {
        "seed": known.seed,
        "command": known.command,
        "cwd": known.cwd,
        "config": known.config,
        "format": known.format,
    }
    if as_json:
        print_json({"run": run_json(found) | about})
        return
    print(f"{clean(str(found.path))}: {found.state} - {clean(found.reason)}\n")
    pairs = [
        ("id", known.id),
        ("created", known.created_at),
        ("recipe", known.recipe or "-"),
        ("unit", known.unit),
        ("seed", "-" if known.seed is None else str(known.seed)),
        ("command", shlex.join(known.command) or "-"),
        ("directory", known.cwd or "-"),
        ("checkpoints", str(len(found.checkpoints))),
        *([("demoted", demoted(found))] if found.demoted else []),
        ("size", size(found.size_bytes)),
        *((f"config {key}", value) for key, value in _flat(known.config)),
    ]
    print_pairs([(clean(label), clean(value)) for label, value in pairs])


def _show_checkpoint(named: Target, found: RunStatus, *, as_json: bool) -> None:
    info = checkpoint_of(named)
    manifest, metadata = _manifest(info.path), metadata_of(info)
    objects, state = _objects(manifest), state_digest(manifest)
    if as_json:
        about = {
            "metadata": metadata,
            "versions": manifest.versions,
            "git": manifest.git,
            "parent": manifest.parent,
            "digest": manifest.digest,
            "state_digest": state,
            "objects": objects,
        }
        print_json({"checkpoint": checkpoint_json(info, found) | about})
        return
    unit = found.identity.unit
    print(f"{clean(str(found.path))}@{info.step}\n")
    pairs = [
        (unit, str(info.step)),
        ("saved", local_time(info.saved_at_s)),
        ("kind", kind(info, found)),
        *([("stage", info.stage)] if info.stage else []),
        ("attempt", str(info.attempt)),
        ("size", size(info.size_bytes)),
        *((f"metric {name}", number(value)) for name, value in info.metrics.items()),
        *((f"version {name}", value) for name, value in manifest.versions.items()),
        *((f"git {name}", value) for name, value in _flat(manifest.git)),
        ("state digest", state[:12]),
        ("path", str(info.path)),
    ]
    print_pairs([(clean(label), clean(value)) for label, value in pairs])
    print()
    columns = (Column("Object"), Column("Arrays", "right"), Column("Bytes", "right"))
    print_table(columns, [[o["name"], str(o["arrays"]), size(o["bytes"])] for o in objects])


def _manifest(path: Path) -> Manifest:
    """Return the checked manifest of a checkpoint.

    Raises:
        FormatError: It was written by a newer version.
        CorruptError: It is damaged.
    """
    file = path / MANIFEST
    return parse(read_regular(file, MAX_BYTES), file)


def _objects(manifest: Manifest) -> list[dict[str, Any]]:
    """Return what was attached: its name, arrays and their bytes."""
    found = []
    for name in manifest.skeletons:
        arrays = manifest.arrays.get(name, {}).values()
        size_bytes = sum(each.bytes for each in arrays)
        found.append({"name": name, "arrays": len(arrays), "bytes": size_bytes})
    return found


def _flat(value: object, at: str = "") -> list[tuple[str, str]]:
    """Return `[("ppo.gamma", "0.99")]` for a nested table; nothing for what is none."""
    if not isinstance(value, Mapping):
        return []
    found: list[tuple[str, str]] = []
    for key, each in value.items():
        name = f"{at}{key}"
        if isinstance(each, Mapping):
            found += _flat(each, f"{name}.")
        elif each is not None:
            found.append((name, str(each)))
    return found
