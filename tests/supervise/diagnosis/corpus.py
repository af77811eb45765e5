"""Deaths as they look on a machine: what each leaves, and what should be made of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evertrain.core.disk import Room
from evertrain.supervise.cause import parse_tail
from evertrain.supervise.diagnosis.facts import Facts
from evertrain.supervise.diagnosis.kind import Kind
from evertrain.supervise.diagnosis.memory import Kills
from evertrain.supervise.diagnosis.raised import Raised
from evertrain.supervise.hang.record import Hang

GROUP = Kills(1, 1, ("memory.events: oom_kill 0 -> 1",), 24_000_000_000)
MACHINE_ONLY = Kills(None, 1, ("vmstat: oom_kill 3 -> 4",))
SOMEBODY_ELSE = Kills(0, 1, ("vmstat: oom_kill 3 -> 4",))
NOBODY = Kills(0, 0)
FULL = Room(0, 0, 100_000_000)

FRAMES = """Traceback (most recent call last):
  File "/srv/project/train.py", line 88, in <module>
    main()
  File "/srv/project/train.py", line 41, in step
    loss.backward()
  File "/venv/lib/python3.11/site-packages/torch/_tensor.py", line 581, in backward
    torch.autograd.backward(
"""
WORKER = """Process ForkServerProcess-3:
Traceback (most recent call last):
  File "/usr/lib/python3.11/multiprocessing/process.py", line 314, in _bootstrap
    self.run()
  File "/srv/project/env.py", line 17, in reset
    raise ValueError("the map has no runway")
ValueError: the map has no runway
"""
FAULT = """Fatal Python error: {what}

Current thread 0x00007f6d (most recent call first):
  File "/venv/lib/python3.11/site-packages/sim/core.py", line 12 in tick
  File "/srv/project/env.py", line 30 in step
  File "/srv/project/train.py", line 41 in main

Extension modules: numpy._core._multiarray_umath (total: 1)
"""


def raised(line: str) -> str:
    """Return the end of a log in which an exception left the program."""
    return f"step 4311 loss 0.31\n{FRAMES}{line}\n"


def fault(what: str) -> str:
    """Return what faulthandler writes."""
    return FAULT.format(what=what)


@dataclass(frozen=True, slots=True)
class Death:
    """One death, and what is to be said of it.

    Attributes:
        name: What happened, really.
        kind: The kind that it is.
        code: Exit status of the leader.
        log: End of its output.
        says: What stands in the summary.
        advises: What stands in the advice; "" where nothing specific can be said.
        more: Whatever else is known.
    """

    name: str
    kind: Kind
    code: int | None
    log: str = ""
    says: str = ""
    advises: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> Facts:
        """What the supervisor would know of it."""
        about = {"seconds": 750.0, "step": 4312, "kills": NOBODY, **self.more}
        return Facts(code=self.code, tail=parse_tail(self.log.encode()), **about)


def silent(kind: Literal["hang", "exit_hang"], step: int | None = 4312) -> Hang:
    """Return what the watch says of one that it ended."""
    return Hang(
        kind=kind,
        phase="eval",
        step=step,
        silent_s=95.0,
        limit_s=90.0,
        evidence="idle",
        stacks=("at train.py:12",),
    )


def told(kind: str, message: str, by: str = "main", step: int = 4312) -> Raised:
    """Return what the hook in the program wrote."""
    return Raised(type=kind, message=message, by=by, step=step, frame="train.py:41 in step")


KNOBS = {"num_envs": 16, "buffer_size": 1_000_000, "batch_size": 256, "timewarp": 40}

MEMORY: Sequence[Death] = (
    Death(
        "the kernel kills the leader, in its control group",
        "kernel OOM",
        -9,
        "step 4311\n",
        "out-of-memory killer ended it at 23.1 GB",
        "kernel OOM killer at 23.1 GB RSS: lower num_envs (16) or buffer_size (1,000,000)",
        {"kills": GROUP, "peak_bytes": 23_100_000_000, "knobs": KNOBS},
    ),
    Death(
        "the same behind a shell script",
        "kernel OOM",
        137,
        "train.sh: line 9:  4711 Killed                  python train.py\n",
        advises="memory limit of its control group, 24.0 GB",
        more={"kills": GROUP},
    ),
    Death(
        "the kernel kills whole groups, the shim among them",
        "kernel OOM",
        None,
        says="out-of-memory killer ended it",
        advises="lower",
        more={"kills": GROUP},
    ),
    Death(
        "the same where only the machine counts",
        "kernel OOM",
        -9,
        advises="lower the number of environments",
        more={"kills": MACHINE_ONLY},
    ),
    Death(
        "a launcher's child in another group",
        "kernel OOM",
        137,
        says="out-of-memory killer ended it",
        advises="lower",
        more={"kills": SOMEBODY_ELSE},
    ),
    Death(
        "the kernel kills a worker, and the leader loses it",
        "kernel OOM",
        1,
        raised("EOFError"),
        "ended a worker of it",
        "lower num_envs (16)",
        {"kills": GROUP, "knobs": KNOBS},
    ),
    Death(
        "torch's loader loses a worker to the kernel",
        "kernel OOM",
        1,
        raised("RuntimeError: DataLoader worker (pid 4711) is killed by signal: Killed. "),
        advises="lower",
        more={"kills": MACHINE_ONLY},
    ),
    Death(
        "SIGKILL by hand, while the kernel killed in another group",
        "signal",
        -9,
        says="killed by SIGKILL",
        advises="a watchdog of memory",
        more={"kills": SOMEBODY_ELSE},
    ),
    Death("SIGKILL by hand", "signal", -9, says="not by the kernel's", advises="somebody killed"),
    Death(
        "SIGKILL where nothing counts", "signal", -9, advises="somebody", more={"kills": Kills()}
    ),
    Death(
        "an exception of its own, though the kernel killed a helper meanwhile",
        "exception",
        1,
        raised("KeyError: 'reward'"),
        "KeyError: 'reward'",
        more={"kills": GROUP},
    ),
    Death(
        "an exception, and the kernel kills the emergency save",
        "exception",
        -9,
        says="ValueError: bad move",
        more={"kills": GROUP, "raised": (told("ValueError", "bad move", "run"),)},
    ),
    Death(
        "CUDA is full",
        "CUDA OOM",
        1,
        raised(
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a "
            "total capacity of 23.69 GiB of which 1.12 GiB is free. Process 991 has 9.80 GiB "
            "memory in use. Of the allocated memory 10 GiB is by PyTorch, and 3.1 GiB is reserved "
            "by PyTorch but unallocated. If reserved but unallocated memory is large try setting "
            "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True"
        ),
        "CUDA out of memory",
        "no room for 2.00 GiB more: lower batch_size (256)|pid 991|expandable_segments:True",
        {"knobs": KNOBS},
    ),
    Death(
        "CUDA is full, in an older torch",
        "CUDA OOM",
        1,
        raised("RuntimeError: CUDA out of memory. Tried to allocate 512.00 MiB"),
        advises="512.00 MiB",
    ),
    Death(
        "cuBLAS gets nothing",
        "CUDA OOM",
        1,
        raised("RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
        advises="lower the batch size",
    ),
    Death(
        "JAX gets nothing",
        "CUDA OOM",
        1,
        raised(
            "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while "
            "trying to allocate 4294967296 bytes."
        ),
        advises="GPU's memory is full",
    ),
    Death(
        "the driver aborts for want of memory",
        "CUDA OOM",
        -6,
        "terminate called after throwing an instance of 'c10::OutOfMemoryError'\n"
        "  what():  CUDA out of memory. Tried to allocate 20.00 MiB\n",
        "then aborted",
        "lower",
    ),
    Death(
        "C++ gets nothing",
        "memory error",
        -6,
        "terminate called after throwing an instance of 'std::bad_alloc'\n"
        "  what():  std::bad_alloc\n",
        "std::bad_alloc",
        "memory is used up",
    ),
    Death(
        "numpy gets nothing",
        "memory error",
        1,
        raised(
            "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 74.5 GiB for an array "
            "with shape (100000, 100000) and data type float64"
        ),
        advises="it wanted 74.5 GiB at once: lower num_envs (16)",
        more={"knobs": KNOBS},
    ),
    Death("a bare MemoryError", "memory error", 1, raised("MemoryError"), advises="lower"),
    Death(
        "fork gets nothing",
        "memory error",
        1,
        raised("OSError: [Errno 12] Cannot allocate memory"),
        advises="lower",
    ),
    Death(
        "a library cannot be loaded for want of memory",
        "memory error",
        1,
        raised("ImportError: libx.so: failed to map segment: Cannot allocate memory"),
        advises="lower",
    ),
)

BELOW: Sequence[Death] = (
    Death(
        "a simulator segfaults",
        "native crash",
        -11,
        f"step 4311\n{fault('Segmentation fault')}",
        "SIGSEGV in env.py:30 in step",
        "lower timewarp (40)",
        {"knobs": KNOBS},
    ),
    Death(
        "the same, in a file of its own",
        "native crash",
        -11,
        "step 4311\n",
        "SIGSEGV in env.py:30 in step",
        "simulator or driver",
        {"fault": fault("Segmentation fault")},
    ),
    Death(
        "a segfault behind a shell script",
        "native crash",
        139,
        "train.sh: line 3: 77 Segmentation fault (core dumped) python train.py\n",
        "SIGSEGV",
        "simulator or driver",
    ),
    Death("an assertion in C", "native crash", -6, fault("Aborted"), "SIGABRT", "simulator"),
    Death("a processor that lacks AVX", "native crash", -4, "", "SIGILL", "another processor"),
    Death("a mapped file that was cut", "native crash", -7, "", "SIGBUS", "memory-mapped"),
    Death(
        "an exception, and then a crash on the way out",
        "exception",
        -6,
        raised("RuntimeError: the simulator lost its window")
        + "terminate called without an active exception\n"
        + fault("Aborted"),
        "RuntimeError: the simulator lost its window",
    ),
    Death(
        "a worker segfaults, and the leader loses its pipe",
        "native crash",
        1,
        fault("Segmentation fault") + raised("ConnectionResetError: [Errno 104] reset by peer"),
        "a worker crashed below Python in env.py:30",
        "simulator",
    ),
    Death(
        "torch's loader loses a worker to a segfault",
        "native crash",
        1,
        raised(
            "RuntimeError: DataLoader worker (pid 12) is killed by signal: Segmentation fault. "
        ),
        advises="simulator or driver",
    ),
    Death("the limit of processor time", "signal", -24, "", "SIGXCPU", "ulimit -t"),
    Death("the terminal goes away", "signal", -1, "", "SIGHUP", "tmux"),
    Death("a file that grew too long", "signal", -25, "", "SIGXFSZ", "ulimit -f"),
    Death("an alarm of its own", "signal", -14, "", "SIGALRM"),
)

RAISED: Sequence[Death] = (
    Death(
        "an ordinary bug",
        "exception",
        1,
        raised("RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x8 and 4x2)"),
        "mat1 and mat2",
    ),
    Death(
        "a worker raises, and the leader only loses its pipe",
        "exception",
        1,
        WORKER + raised("EOFError"),
        "in a worker: ValueError: the map has no runway",
    ),
    Death(
        "a worker dies without a word",
        "exception",
        1,
        raised("BrokenPipeError: [Errno 32] Broken pipe"),
        "BrokenPipeError",
        "a worker process died",
    ),
    Death(
        "a browser does not answer",
        "exception",
        1,
        raised("playwright._impl._errors.TimeoutError: Page.goto: Timeout 30000ms exceeded."),
        "Timeout 30000ms",
        "too slow: lower timewarp (40)",
        {"knobs": KNOBS},
    ),
    Death(
        "the game's server is not there",
        "exception",
        1,
        raised("ConnectionRefusedError: [Errno 111] Connection refused"),
        advises="start that first",
    ),
    Death(
        "a port is taken",
        "exception",
        1,
        raised("OSError: [Errno 98] Address already in use"),
        advises="ss -ltnp",
    ),
    Death(
        "a label out of range on the GPU",
        "exception",
        1,
        raised("RuntimeError: CUDA error: device-side assert triggered"),
        advises="CUDA_LAUNCH_BLOCKING=1",
    ),
    Death(
        "a broken GPU",
        "exception",
        1,
        raised("RuntimeError: CUDA error: uncorrectable ECC error encountered"),
        advises="Xid",
    ),
    Death(
        "too many files",
        "exception",
        1,
        raised("OSError: [Errno 24] Too many open files: '/dev/null'"),
        advises="ulimit -n",
    ),
    Death(
        "too many threads",
        "exception",
        1,
        raised("RuntimeError: can't start new thread"),
        advises="ulimit -u",
    ),
    Death(
        "what the log lost, the hook has",
        "exception",
        1,
        "",
        "sim.EnvError: no answer",
        more={"raised": (told("sim.EnvError", "no answer"),)},
    ),
    Death(
        "what the program caught and logged is not what ended it",
        "exit",
        3,
        raised("ValueError: handled") + "".join(f"step {n}\n" for n in range(40)),
        "exit code 3",
    ),
    Death(
        "NaN in a policy",
        "NaN",
        1,
        raised(
            "ValueError: Expected parameter loc (Tensor of shape (64, 2)) of distribution "
            "Normal(loc: torch.Size([64, 2])) to satisfy the constraint Real(), but found invalid "
            "values:\n"
            "tensor([[nan, nan],\n"
            + "        [nan, nan],\n" * 20
            + "        [nan, nan]], device='cuda:0')"
        ),
        "found invalid values",
        "diverged: lower learning_rate (0.1)",
        {"knobs": {"learning_rate": 0.1}},
    ),
    Death("NaN that numpy stops", "NaN", 1, raised("FloatingPointError: overflow in exp")),
    Death("a loss that is checked", "NaN", 1, raised("RuntimeError: loss is nan at step 4312")),
    Death(
        "a check of a loss that is NaN already",
        "NaN",
        1,
        raised("AssertionError: the loss has left the rails"),
        advises="diverged",
        more={"not_finite": ("loss",)},
    ),
    Death("a key that is called inf", "exception", 1, raised("KeyError: 'inf'"), "KeyError"),
)

DISK: Sequence[Death] = (
    Death(
        "a full disk",
        "disk full",
        1,
        raised("OSError: [Errno 28] No space left on device: 'model.pt'"),
        advises="evertrain prune",
        more={"room": FULL, "save_error": "no room"},
    ),
    Death(
        "a full quota",
        "disk full",
        1,
        raised("OSError: [Errno 122] Disk quota exceeded"),
        advises="quota -s",
    ),
    Death(
        "no more file names",
        "disk full",
        1,
        raised("OSError: [Errno 28] No space left on device"),
        advises="df -i",
        more={"room": Room(9, 9, 9, 0)},
    ),
    Death(
        "full shared memory",
        "disk full",
        1,
        raised(
            "RuntimeError: DataLoader worker (pid 9) is killed by signal: Bus error. It is "
            "possible that dataloader's workers are out of shared memory. Please raise your limit."
        ),
        advises="--shm-size=8g, or lower num_workers (8)",
        more={"knobs": {"num_workers": 8}},
    ),
    Death(
        "our own save finds no room",
        "disk full",
        1,
        raised(
            "evertrain.core.errors.SaveError: the state after step 9 could not be saved: the "
            "checkpoint of step 9 needs about 2 GB; the disk of /r has room for 1 kB."
        ),
        advises="prune",
    ),
)

OTHERS: Sequence[Death] = (
    Death(
        "a hang in an evaluation",
        "hang",
        -9,
        says="hang: no sign of life for 1 m 35 s in 'eval' after step 4,312; it does nothing",
        advises="stacks of all its threads",
        more={"hang": silent("hang")},
    ),
    Death(
        "a training that ends, and a process that does not",
        "exit hang",
        -9,
        says="exit hang: the training was over",
        advises="close environments",
        more={"hang": silent("exit_hang")},
    ),
    Death(
        "an exception, and an exit that hangs in close()",
        "exception",
        -9,
        says="ValueError: bad move",
        more={"hang": silent("exit_hang"), "raised": (told("ValueError", "bad move", "run"),)},
    ),
    Death(
        "a stop for a stranger's SIGTERM, and an exit that hangs",
        "preemption",
        -9,
        says="stopped for a SIGTERM",
        advises="evertrain stop",
        more={"hang": silent("exit_hang"), "was_terminated": True, "is_run": True},
    ),
    Death(
        "somebody sends SIGTERM", "preemption", -15, says="SIGTERM", advises="evertrain stop RUN"
    ),
    Death("the same behind a shell", "preemption", 143, says="SIGTERM", advises="evertrain stop"),
    Death(
        "a run that stops for a stranger's SIGTERM",
        "preemption",
        75,
        says="stopped for a SIGTERM",
        advises="evertrain stop",
        more={"was_terminated": True, "is_run": True},
    ),
    Death("the shim is killed", "lost", None, says="nobody saw its end"),
    Death(
        "a module is missing",
        "config",
        1,
        raised("ModuleNotFoundError: No module named 'gymnasium.envs.box2d'"),
        "No module named",
        "install 'gymnasium'",
    ),
    Death(
        "the same, seen by the hook only",
        "config",
        1,
        "",
        "No module named",
        "install 'gym'",
        {"raised": (told("ModuleNotFoundError", "No module named 'gym'"),)},
    ),
    Death("a configuration error", "config", 78, says="configuration error", advises="correct it"),
    Death(
        "a wrong flag",
        "config",
        2,
        "usage: train.py [-h]\ntrain.py: error: unrecognized arguments: --x\n",
        "command line is wrong",
        "correct it",
        {"seconds": 1.0},
    ),
    Death(
        "a run that ends too early",
        "exit",
        0,
        says="without finishing",
        advises="finish()",
        more={"is_run": True},
    ),
    Death(
        "timeout(1) around a run, which stops and saves",
        "exit",
        124,
        advises="timeout(1) ended it",
        more={"was_terminated": True, "is_run": True},
    ),
    Death("timeout(1)", "exit", 124, says="exit code 124", advises="timeout(1) ended it"),
    Death("a child that wants no restart", "exit", 93, says="asks not to be restarted"),
    Death("a code of its own", "exit", 150, says="exit code 150"),
    Death("a program that it calls is missing", "exit", 127, says="127", advises="is missing"),
    Death(
        "a hang before the first step, in a simulator",
        "hang",
        -9,
        says="hang: no sign of life for 1 m 35 s in 'eval'; it does nothing",
        advises="if a simulator hangs: lower timewarp (40)",
        more={"hang": silent("hang", None), "knobs": KNOBS, "step": None},
    ),
    Death("a code, and nothing else", "exit", 3, "bye\n", "exit code 3"),
)

DEATHS: Sequence[Death] = (*MEMORY, *BELOW, *RAISED, *DISK, *OTHERS)
