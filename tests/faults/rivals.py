"""Lets forked processes fight for one run: two at once, and one that was frozen in its save.

    python rivals.py DIRECTORY starts ROUNDS
    python rivals.py DIRECTORY zombies "PHASE[ of STEP]/WHEN"...
    python rivals.py DIRECTORY worker

Forking from a process that has imported everything makes an attempt cost milliseconds.
Prints one JSON object a play: what became of everybody.
"""

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evertrain import Run, every, keep_last
from evertrain.checkpoint.store import Store
from evertrain.core.errors import EvertrainError, FencedError, LockedError
from evertrain.core.fs import LocalFs
from evertrain.core.journal import Journal
from evertrain.run import saver  # noqa: F401  (so that the children need not import it)

FROZEN_AT = 6  # the step whose save is interrupted; the sleeper has saved 3 before
WON, LOST, BROKEN = b"W", b"L", b"!"


def forked(act: Callable[[], Any]) -> int:
    """Start `act` in a silent child and return its pid; it exits with what `act` returns."""
    pid = os.fork()
    if pid:
        return pid
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    code = 99
    try:
        code = int(act() or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """Wait for a child, and return its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# ---- two at the same instant ----------------------------------------------------------------


def rival(path: Path, go: int, told: int, release: int) -> int:
    """Wait for the start, try to get the run, and train if it is ours."""
    os.read(go, 1)
    try:
        with Run(path, total=3, save=every(steps=1)) as run:
            os.write(told, WON)
            os.read(release, 1)
            run.state.who = np.full(3, os.getpid())
            for _ in run:
                run.log(who=os.getpid())
    except LockedError:
        os.write(told, LOST)
        return LockedError.exit_code
    except BaseException:
        os.write(told, BROKEN)
        raise
    return 0


def race(path: Path) -> dict[str, Any]:
    """Start two trainers at the same instant; return how they fared."""
    (go, start), (hear, told), (release, free) = (os.pipe() for _ in range(3))

    def act() -> int:
        os.close(start)
        os.close(free)
        return rival(path, go, told, release)

    pids = [forked(act) for _ in range(2)]
    os.close(go)
    os.close(release)
    os.close(start)  # both hear it at once
    words = b"".join(os.read(hear, 1) for _ in pids)
    os.close(free)
    codes = [ended(pid) for pid in pids]
    for handle in (hear, told):
        os.close(handle)
    names = [row["event"] for row in Journal(path / "journal.jsonl").events()]
    state = Store(path).load().state["run.state"]["who"]
    return {
        "words": sorted(words.decode()),
        "codes": sorted(codes),
        "started": names.count("attempt_started"),
        "saved": names.count("saved"),
        "is_winners": state.tolist() == [pids[codes.index(0)]] * 3,
    }


# ---- one that wakes up after its place was taken --------------------------------------------


def freeze() -> None:
    """Stop this whole process, right here, until somebody continues it."""
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def freeze_at(phase: str) -> None:
    """Let this process freeze once, at one point of the save of a step."""
    replace, begin, refresh = LocalFs.replace, Store.begin, Store._refresh
    phase, _, at = phase.partition(" of ")
    frozen_at = int(at or FROZEN_AT)
    target, done = f"{frozen_at:09d}", list[bool]()

    def once(*, holds: bool) -> None:
        if holds and not done:
            done.append(True)
            freeze()

    def begun(store: Store, step: int, *args: Any, **more: Any) -> Any:
        once(holds=phase == "before begin" and step == frozen_at)
        return begin(store, step, *args, **more)

    def replaced(fs: LocalFs, src: Path, dst: Path) -> None:
        is_commit = src.name.startswith(".tmp-") and dst.name == target
        once(holds=phase == "before rename" and is_commit)
        replace(fs, src, dst)
        once(holds=phase == "after rename" and is_commit)

    def refreshed(store: Store) -> None:
        once(holds=phase == "before prune" and (store.path / target).exists())
        refresh(store)

    Store.begin, Store._refresh = begun, refreshed  # type: ignore[assignment,method-assign]
    LocalFs.replace = replaced  # type: ignore[assignment,method-assign]


def train(path: Path, until: int, *, dies: bool = True, name: str | None = None) -> int:
    """Train up to `until`, and die there; each step adds the attempt to the story."""
    with Run(path, total=12, save=every(steps=3), keep=keep_last(1)) as run:
        run.state.story = [0]
        began = run.step
        for step in run:
            run.state.story = [*run.state.story, run.attempt]
            run.log(attempt_was=run.attempt)
            if step == until and dies:
                run.wait()
                os._exit(7)
        if name is not None:
            found = {"from": began, "story": run.state.story, "at": run.attempt}
            found["rows"] = [[row["step"], row["attempt_was"]] for row in run.metrics]
            found["faults"] = [each.problem for each in run.store.verify()]
            path.with_name(name).write_text(json.dumps(found))
    return 0


def succeed(path: Path, told: int, woken: int, when: str) -> int:
    """Go on in the sleeper's place; say where from, and go on once it is awake.

    The sleeper wakes up "behind" this one's save of that step, "below" it, "before" its
    first step, or as this one "dies" there; or "early", before it has put anything back.
    """
    with Run(path, total=12, save=every(steps=1), keep=keep_last(1)) as run:
        run.state.story = [0]
        began = run.step
        if when != "early":
            run.restore()

        def meet() -> None:
            os.write(told, b"%d" % began)
            os.read(woken, 1)

        if when in {"before", "dies", "early"}:
            meet()
        if when in {"dies", "early"}:
            os._exit(7)
        for step in run:
            run.state.story = [*run.state.story, run.attempt]
            run.log(attempt_was=run.attempt)
            if step == FROZEN_AT and when == "below":
                run.wait()
                meet()
                os._exit(7)
            if step == FROZEN_AT + 3 and when == "behind":
                run.wait()  # retention has removed the step of that save
                meet()
            if step == FROZEN_AT + 4:
                run.wait()
                os._exit(7)
    return 0


def zombie(root: Path, phase: str, when: str) -> dict[str, Any]:
    """Freeze a trainer in its save, give its run to others, wake it, and let a third one finish.

    The lock file is taken away, as on a network file system that forgets its locks: no
    owner on this machine is succeeded while it lives.
    """
    path = root / "run"

    def sleeper() -> int:
        freeze_at(phase)
        try:
            return train(path, 12, dies=False)  # the save at its end is never left out
        except FencedError as error:
            return error.exit_code

    pid = forked(sleeper)
    _, status = os.waitpid(pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), status
    (path / "lock").unlink()
    (hear, told), (woken, wake_up) = os.pipe(), os.pipe()
    second = forked(lambda: succeed(path, told, woken, when))
    second_from = int(os.read(hear, 9))
    os.kill(pid, signal.SIGCONT)
    codes = [ended(pid)]
    there = sorted(int(each.name) for each in (path / "checkpoints").glob("0*"))
    os.write(wake_up, b".")
    codes.append(ended(second))
    codes.append(ended(forked(lambda: train(path, 12, dies=False, name="end.json"))))
    disowned = Journal(path / "journal.jsonl").events("disowned")
    return {
        "codes": codes,
        "second_from": second_from,
        "there_after_waking": there,
        "end": json.loads((root / "end.json").read_text()),
        "disowned": [[row["step"], row["writer"]] for row in disowned],
        "superseded": sorted(each.name for each in path.glob("checkpoints/superseded/0*")),
    }


# ---- a worker that outlives its trainer -----------------------------------------------------


def worker(root: Path) -> dict[str, Any]:
    """Fork a worker in the middle of a save, die, and see who keeps the next one out."""
    path = root / "run"
    hear, told = os.pipe()

    def trainer() -> int:
        replace = LocalFs.replace
        inside = threading.Event()
        go = threading.Event()

        def slow(fs: LocalFs, src: Path, dst: Path) -> None:
            if dst.name == f"{FROZEN_AT:09d}":
                inside.set()
                go.wait()
            replace(fs, src, dst)

        LocalFs.replace = slow  # type: ignore[assignment,method-assign]
        with Run(path, total=12, save=every(steps=1), keep=keep_last(1)) as run:
            run.state.story = [0]
            for step in run:
                run.state.story = [*run.state.story, run.attempt]
                run.log(attempt_was=run.attempt)
                if step == FROZEN_AT + 1:
                    inside.wait()
                    if os.fork() == 0:
                        os.write(told, b"%d " % os.getpid())
                        signal.pause()
                    os._exit(7)
        return 0

    first = ended(forked(trainer))
    pid = int(os.read(hear, 20))
    litter = [each.name for each in (path / "checkpoints").glob(".tmp-*")]
    try:
        second = ended(forked(lambda: train(path, 12, dies=False, name="end.json")))
        lives = Path(f"/proc/{pid}").exists()
    finally:
        os.kill(pid, signal.SIGKILL)
    return {
        "first": first,
        "second": second,
        "worker_lives": lives,
        "had_litter": bool(litter),
        "left": [each.name for each in (path / "checkpoints").glob(".tmp-*")],
        "end": json.loads((root / "end.json").read_text()),
    }


def main(root: Path, what: str, *details: str) -> None:
    """Play one piece."""
    for name in ("sync_file", "sync_dir"):  # the machine lives on: nobody waits for the medium
        setattr(LocalFs, name, lambda *_: None)
    if what == "starts":
        for number in range(int(details[0])):
            print(json.dumps(race(root / str(number))))
    elif what == "zombies":
        for each in details:
            phase, _, when = each.partition("/")
            (root / each).mkdir(parents=True)
            print(json.dumps(zombie(root / each, phase, when)))
    else:
        print(json.dumps(worker(root)))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), *sys.argv[2:])
    except EvertrainError as error:
        sys.exit(str(error))
