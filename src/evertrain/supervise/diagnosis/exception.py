"""What kind of death an exception is: patterns over its class and message. Pure.

Texts are those of Python, torch, numpy, JAX, Ray and the libraries for environments. The
first pattern that fits decides, so the narrow ones come first.

Layer: supervise. Imports core only.
"""

import re
from typing import Final

from evertrain.supervise.diagnosis.kind import Kind
from evertrain.supervise.diagnosis.raised import Raised

_Rule = tuple[Kind, "re.Pattern[str]"]


def _rule(kind: Kind, *patterns: str) -> _Rule:
    """Return the rule that text which one of `patterns` fits means `kind`."""
    return kind, re.compile("|".join(patterns), re.IGNORECASE | re.DOTALL)


_KINDS: Final[tuple[_Rule, ...]] = (
    # What a worker died of, where the one that lost it has been told.
    _rule("disk full", r"Bus error.*shared memory", "(insufficient|out of) shared memory"),
    _rule("native crash", r"killed by signal: (Segmentation fault|Bus error|Aborted|Illegal)"),
    _rule(
        "CUDA OOM",
        r"^torch\.(cuda\.)?OutOfMemoryError",
        r"^(numba\.cuda|cupy)\S*OutOfMemory",
        r"(CUDA|HIP|XPU|MPS)( backend)? out of memory",
        r"CUDA error: out of memory",
        r"(CUBLAS|CUDNN)_STATUS_ALLOC_FAILED",
        r"CUDA_ERROR_OUT_OF_MEMORY",
        r"cudaErrorMemoryAllocation",
        r"RESOURCE_EXHAUSTED.*(memory|alloc)",
        r"^tensorflow\S*ResourceExhaustedError",
    ),
    _rule(
        "disk full",
        r"\[Errno (28|122)\]",
        "No space left on device",
        "Disk quota exceeded",
        "database or disk is full",
        "the disk of .* has room for",
    ),
    _rule(
        "memory error",
        r"^(\w+\.)*_?(Array)?MemoryError\b",
        r"\[Errno 12\]",
        "can(not|'t) allocate memory",
        "std::bad_alloc",
        "Unable to allocate .* for an array",
        r"^ray\S*OutOfMemoryError",
    ),
    _rule(
        "NaN",
        "^FloatingPointError",
        "found invalid values",
        # Not where a name is missing that happens to be "inf".
        r"^(?!KeyError|NameError|ImportError|AttributeError|FileNotFoundError)[^:]*:"
        r".*(\bnans?\b|\binf(inity)?\b|\bnon-?finite\b|\bnot (all )?finite\b)",
    ),
)
# Whoever gets one of these has lost the process at the other end: the cause lies there.
_CASCADE: Final = re.compile(
    r"^(EOFError|BrokenPipeError|ConnectionResetError|ConnectionAbortedError)\b"
    r"|BrokenProcessPool|DataLoader worker|WorkerCrashedError|ActorDiedError|ActorUnavailableError"
    r"|(worker|subprocess|child)\S* .*(exited unexpectedly|died|killed by signal)",
    re.IGNORECASE | re.DOTALL,
)


def kind_of_exception(raised: Raised) -> Kind:
    """Return the kind of death that an exception means."""
    for kind, pattern in _KINDS:
        if pattern.search(raised.text):
            return kind
    return "exception"


def is_cascade(raised: Raised) -> bool:
    """Say whether an exception only tells that another process died first."""
    return _CASCADE.search(raised.text) is not None


def names_killed_worker(raised: Raised) -> bool:
    """Say whether it tells that a worker was killed by SIGKILL."""
    return "killed by signal: Killed" in raised.message or "SIGKILL" in raised.message
