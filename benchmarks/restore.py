"""How long it takes to get a gigabyte back, every byte checked, against loads that check nothing.

Warm: the files lie in the page cache. Cold: the kernel was asked to forget
them, so that the disk is read. "into the model" ends with the values in the
program's own tensors; a run's figure holds all that it does: it takes its lock,
looks at every byte, writes its journal, fills the tensors, and lets go.

Usage: python benchmarks/restore.py [--quick] [--dir DISK]
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from evertrain import Run, Store, every
from measure import (
    Measured,
    alternate,
    arguments,
    attempt,
    drop_cache,
    hush,
    scratch,
    stopwatch,
    sync_tree,
)
from peers import PEERS, Orbax, flat
from table import Report, compared
from work import LARGE, Size, State

LOAD, INTO = "torch.load", "torch.load, into the model"
MY_LOAD, MY_INTO = "evertrain Store.load", "evertrain Run.restore"
MORE = {"of it restore()": ("restore_s", 1.0)}


def main() -> None:
    """Save once with each, then load in turn."""
    asked = arguments(__doc__)
    hush()
    size = Size(2, 256) if asked.quick else LARGE
    with scratch(asked.dir) as place:
        report = Report("restore", place, is_quick=asked.quick)
        state = State(size)
        report.set(state_bytes=state.nbytes)
        failed = Measured()
        loads = my_loads(state, place)
        if not asked.only_evertrain:
            for title, prepare in THEIRS.items():
                own = place / title
                own.mkdir()
                load = attempt(failed, title, lambda p=prepare, own=own: p(state, own))
                loads |= {} if load is None else {title: load}
        sync_tree(place)
        for word in ("warm", "cold"):
            cases = {title: timed(load, place, word == "cold") for title, load in loads.items()}
            cases[MY_INTO] = restored(state, place, word == "cold")
            found = alternate(cases, asked.rounds or (2 if asked.quick else 3))
            found.errors |= failed.errors
            title = f"restore {state.nbytes / 1e6:,.0f} MB, {word}"
            table = compared(title, found, "seconds", [LOAD, INTO], unit="s", scale=1.0, more=MORE)
            report.add(table)
            report.keep(title, found)
            for mine, other in ((MY_LOAD, LOAD), (MY_INTO, INTO)):
                ratio = found.ratio(mine, other, "seconds")
                report.at_most(f"{title}: {mine} / {other}", ratio, 1.0)
        report.finish(asked.out)


def timed(load: Callable[[], Any], place: Path, is_cold: bool) -> Callable[[], dict[str, float]]:  # noqa: FBT001
    """Return a case that loads once."""

    def case() -> dict[str, float]:
        if is_cold:
            drop_cache(place)
        with stopwatch() as elapsed_s:
            kept = load()
            took_s = elapsed_s()
        del kept
        return {"seconds": took_s}

    return case


def restored(state: State, place: Path, is_cold: bool) -> Callable[[], dict[str, float]]:  # noqa: FBT001
    """Return a case that puts what a run has saved back into the model."""

    def case() -> dict[str, float]:
        if is_cold:
            drop_cache(place)
        with stopwatch() as elapsed_s:
            with Run(place / "run", total=1) as again:
                again.attach(model=state.model, optimizer=state.optimizer)
                before_s = elapsed_s()
                again.restore()
                took_s = elapsed_s() - before_s
            whole_s = elapsed_s()
        return {"seconds": whole_s, "restore_s": took_s}

    return case


def my_loads(state: State, place: Path) -> dict[str, Callable[[], Any]]:
    """Save with a run, and return how a store loads it."""
    path = place / "run"
    with Run(path, total=1, save=every(steps=1)) as run:
        run.attach(model=state.model, optimizer=state.optimizer)
        for _ in run:
            pass
    return {MY_LOAD: lambda: Store(path).load("latest")}


def _torch_load(state: State, place: Path) -> Callable[[], Any]:
    path = place / "state.pt"
    torch.save(state.tree(), path)
    return lambda: torch.load(path)


def _torch_load_mapped(state: State, place: Path) -> Callable[[], Any]:
    path = place / "state.pt"
    torch.save(state.tree(), path)

    def load() -> None:
        put(state, torch.load(path, mmap=True))

    return load


def _torch_load_into(state: State, place: Path) -> Callable[[], Any]:
    path = place / "state.pt"
    torch.save(state.tree(), path)

    def load() -> None:
        put(state, torch.load(path))

    return load


def put(state: State, found: dict[str, Any]) -> None:
    """Put a loaded state back."""
    state.model.load_state_dict(found["model"])
    state.optimizer.load_state_dict(found["optimizer"])


def _safetensors(state: State, place: Path) -> Callable[[], Any]:
    from safetensors.torch import load_file, save_file

    path = place / "state.safetensors"
    save_file(flat(state), path)
    return lambda: load_file(path)


def _dcp(state: State, place: Path) -> Callable[[], Any]:
    import torch.distributed.checkpoint as dcp

    peer: Any = PEERS["DCP async_save"](state, place)
    peer.save(place / "dcp")
    peer.wait()
    return lambda: dcp.load(peer.tree(), checkpoint_id=place / "dcp")


def _orbax(state: State, place: Path) -> Callable[[], Any]:
    peer = Orbax(state, place)
    peer.save(place)
    peer.wait()
    return peer.load_all


def _sb3(state: State, place: Path) -> Callable[[], Any]:
    from stable_baselines3 import PPO

    peer: Any = PEERS["SB3 save"](state, place)
    path = place / "sb3.zip"
    peer.save(path)
    del peer.model
    return lambda: PPO.load(path, device="cpu")


THEIRS: dict[str, Callable[[State, Path], Callable[[], Any]]] = {
    LOAD: _torch_load,
    INTO: _torch_load_into,
    "torch.load(mmap=True), into the model": _torch_load_mapped,
    "safetensors load_file (maps the file)": _safetensors,
    "DCP load, into the model": _dcp,
    "Orbax restore": _orbax,
    "SB3 PPO.load": _sb3,
}


if __name__ == "__main__":
    main()
