"""What a person can do about a death: specific, or nothing. Pure.

Layer: supervise. Imports core only.
"""

import re
from collections.abc import Callable
from typing import Final

from evertrain.core.disk import human_bytes
from evertrain.supervise.diagnosis.exception import is_cascade
from evertrain.supervise.diagnosis.facts import Facts
from evertrain.supervise.diagnosis.kind import Kind
from evertrain.supervise.diagnosis.knobs import GPU_MEMORY, LEARNING, MEMORY, PACE, named
from evertrain.supervise.diagnosis.raised import Raised

_OTHER_PROCESS: Final = re.compile(r"Process (\d+) has ([\d.]+ \w+) memory in use")
_TRIED: Final = re.compile(r"[Tt]ried to allocate ([\d.]+ \w+)")
_MISFIT: Final = "the settings that cost most memory"

# Of exceptions: a pattern over class and message, and what helps.
_HINTS: Final[tuple[tuple["re.Pattern[str]", str], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), text)
    for pattern, text in (
        (
            r"device-side assert|CUDA error: an illegal memory access|index out of bounds",
            (
                "an index or label is out of range on the GPU: start it with "
                "CUDA_LAUNCH_BLOCKING=1 to see where"
            ),
        ),
        (
            (
                r"uncorrectable ECC|CUDA error: (unspecified launch failure|unknown error)"
                r"|GPU is lost|fallen off the bus"
            ),
            "the GPU itself failed: look at dmesg for Xid, and at nvidia-smi -q -d ECC",
        ),
        (
            r"no CUDA-capable device|driver version is insufficient|NVML|CUDA driver",
            "the GPU's driver is not there: nvidia-smi says what is wrong",
        ),
        (r"\[Errno 24\]|Too many open files", "raise the limit of open files: ulimit -n 65536"),
        (
            r"can't start new thread|\[Errno 11\]|Resource temporarily unavailable",
            "the limit of processes is reached: ulimit -u, or the container's pids limit",
        ),
        (
            r"\[Errno 98\]|Address already in use",
            "a server of an earlier attempt, or another run, holds the port: ss -ltnp",
        ),
        (r"\[Errno 5\]|Input/output error", "the disk reports errors: look at dmesg"),
        (
            r"\[Errno 116\]|Stale file handle|Transport endpoint is not connected",
            "a network file system went away: look at dmesg and mount",
        ),
        (
            r"\[Errno 111\]|Connection refused|Failed to establish a new connection",
            "the server that it talks to does not run: start that first, or check its address",
        ),
        (r"RecursionError", "something calls itself without end; look at the traceback"),
    )
)
_TIMEOUT: Final = re.compile(r"Time(d)?[ -]?out", re.IGNORECASE)


def advise(kind: Kind, facts: Facts, raised: Raised | None) -> tuple[str, ...]:
    """Return what to do about a death, the likeliest first; nothing where nothing is known."""
    maker = _MAKERS.get(kind)
    return maker(facts, raised) if maker else ()


def _kernel_oom(facts: Facts, raised: Raised | None) -> tuple[str, ...]:
    del raised
    peak = "" if facts.peak_bytes is None else f" at {human_bytes(facts.peak_bytes)} RSS"
    lower = named(facts.knobs, MEMORY, "the number of environments, workers or the replay buffer")
    limit = facts.kills.limit_bytes
    found = [f"kernel OOM killer{peak}: lower {lower}"]
    if limit is not None:
        found.append(f"or raise the memory limit of its control group, {human_bytes(limit)}")
    return tuple(found)


def _cuda_oom(facts: Facts, raised: Raised | None) -> tuple[str, ...]:
    text = raised.message if raised else ""
    tried = _TRIED.search(text)
    what = f"the GPU had no room for {tried[1]} more" if tried else "the GPU's memory is full"
    found = [f"{what}: lower {named(facts.knobs, GPU_MEMORY, 'the batch size')}"]
    other = _OTHER_PROCESS.search(text)
    if other:
        found.append(f"another process (pid {other[1]}) holds {other[2]} of that GPU: nvidia-smi")
    if "reserved by PyTorch but unallocated" in text or "expandable_segments" in text:
        found.append("against fragmentation: PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True")
    return tuple(found)


def _memory_error(facts: Facts, raised: Raised | None) -> tuple[str, ...]:
    wants = re.search(r"[Uu]nable to allocate ([\d.]+ \w+)", raised.message) if raised else None
    what = f"it wanted {wants[1]} at once" if wants else "the machine's memory is used up"
    return (f"{what}: lower {named(facts.knobs, MEMORY, _MISFIT)}",)


def _disk_full(facts: Facts, raised: Raised | None) -> tuple[str, ...]:
    text = "" if raised is None else raised.text
    if "shared memory" in text:
        lower = named(facts.knobs, re.compile(r"^(num_workers|batch_size)$"), "num_workers")
        return (f"the shared memory is full: docker run --shm-size=8g, or lower {lower}",)
    found = ["free some: evertrain prune RUN --keep-last 1 --keep-best 1; df -h shows which disk"]
    if "[Errno 122]" in text or "quota" in text:
        found.insert(0, "your quota is used up, not the disk: quota -s")
    if facts.room is not None and facts.room.free_files == 0:
        found.insert(0, "the disk has no room for another file name, whatever is free: df -i")
    return tuple(found)


def _nan(facts: Facts, raised: Raised | None) -> tuple[str, ...]:
    del raised
    lower = named(facts.knobs, LEARNING, "the learning rate, or clip the gradients")
    return (
        f"the training diverged: lower {lower}",
        (
            "it diverged before it was noticed: going on from an older checkpoint may help, "
            "evertrain resume RUN --from STEP"
        ),
    )


def _native_crash(facts: Facts, raised: Raised | None) -> tuple[str, ...]:
    del raised
    if facts.signal == "SIGILL":
        return ("a library was built for another processor: install it for this one",)
    if facts.signal == "SIGBUS":
        return ("a memory-mapped file was cut, or /dev/shm is full: df -h /dev/shm",)
    slower = named(facts.knobs, PACE, "")
    found = [
        "the stack is in the post-mortem and the log; a simulator or driver is likely at fault"
    ]
    return (*found, f"if it is a simulator's: lower {slower}") if slower else tuple(found)


def _signal(facts: Facts, raised: Raised | None) -> tuple[str, ...]:
    del raised
    match facts.signal:
        case "SIGKILL":
            return (
                (
                    "somebody killed it: a person, a scheduler, or a watchdog of memory "
                    "(journalctl -u systemd-oomd -u earlyoom)"
                ),
            )
        case "SIGXCPU":
            return ("its limit of processor time is used up: ulimit -t",)
        case "SIGXFSZ":
            return ("a file reached the size limit: ulimit -f",)
        case "SIGHUP":
            return ("its terminal went away: start it in tmux, or by systemd",)
        case _:
            return ()


def _exception(facts: Facts, raised: Raised | None) -> tuple[str, ...]:
    if raised is None:
        return ()
    hints = [*_hinted(raised.text)]
    slower = named(facts.knobs, PACE, "")
    if _TIMEOUT.search(raised.text):
        hints.append(f"what it waits for is too slow: lower {slower or 'its pace'}")
    if is_cascade(raised):
        hints.append(
            "a worker process died and left no word; its own output may say why (evertrain log)"
        )
    return tuple(hints)


def _hinted(text: str) -> tuple[str, ...]:
    return tuple(hint for pattern, hint in _HINTS if pattern.search(text))


def _exit(facts: Facts, raised: Raised | None) -> tuple[str, ...]:
    del raised
    if facts.unstarted is not None:
        return _hinted(facts.unstarted)
    match facts.code:
        case 0:
            return ("the program left its loop or exited early; finish() ends a run on purpose",)
        case 124:
            return ("timeout(1) ended it: give it more time, or none",)
        case 126 | 127:
            return ("a program that it calls is missing or not executable",)
        case _:
            return ()


def _config(facts: Facts, raised: Raised | None) -> tuple[str, ...]:
    text = facts.tail.exception or (raised.line if raised else "")
    missing = re.search(r"No module named '([\w.]+)'", text)
    if missing:
        return (f"install {missing[1].partition('.')[0]!r} where this command's Python looks",)
    return ("correct it, then start again: a restart alone cannot help",)


def _preemption(facts: Facts, raised: Raised | None) -> tuple[str, ...]:
    del facts, raised
    return ("to stop a supervised training, use: evertrain stop RUN",)


def _hang(facts: Facts, raised: Raised | None) -> tuple[str, ...]:
    del raised
    slower = named(facts.knobs, PACE, "")
    has_stacks = facts.hang is not None and facts.hang.stacks
    what = "the stacks of all its threads are" if has_stacks else "what each process waits for is"
    found = (f"{what} in the post-mortem",)
    return (*found, f"if a simulator hangs: lower {slower}") if slower else found


def _exit_hang(facts: Facts, raised: Raised | None) -> tuple[str, ...]:
    del facts, raised
    return ("a thread or worker keeps it alive: close environments and loaders at the end",)


_MAKERS: Final[dict[Kind, Callable[[Facts, Raised | None], tuple[str, ...]]]] = {
    "kernel OOM": _kernel_oom,
    "CUDA OOM": _cuda_oom,
    "memory error": _memory_error,
    "disk full": _disk_full,
    "NaN": _nan,
    "native crash": _native_crash,
    "signal": _signal,
    "exception": _exception,
    "exit": _exit,
    "config": _config,
    "preemption": _preemption,
    "hang": _hang,
    "exit hang": _exit_hang,
}
