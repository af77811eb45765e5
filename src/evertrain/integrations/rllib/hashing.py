"""The seed with which this process hashes strings: RLlib batches agents in that order.

A set of strings is walked through in the order of their hashes, which Python draws
anew for each process. RLlib keeps its agents in sets, so two processes batch them, and
draw actions for them, in another order, unless PYTHONHASHSEED is the same number.

Layer: integrations. Imports core only.
"""

import os
import sys
from typing import Final

from evertrain.core.errors import UsageError

VARIABLE: Final = "PYTHONHASHSEED"
_BEGUN: Final = "EVERTRAIN_HASHING"  # the process that has begun again


def hashing() -> int:
    """Return a number that two processes share only if they hash strings alike."""
    return hash("the order of agents in a set")


def settle_hashing() -> None:
    """Begin the program again with PYTHONHASHSEED=0, unless it is so already.

    Call it first: what ran before runs twice. The process stays the same one, so whoever
    started it notices nothing.

    Raises:
        UsageError: The program came from standard input, which is read already; or Python
            was told to ignore the variable (-I, -E, -R).
    """
    if not sys.flags.hash_randomization:
        return
    mine = str(os.getpid())
    if sys.flags.ignore_environment or os.environ.get(_BEGUN) == mine:
        raise UsageError(
            f"this Python ignores {VARIABLE}.",
            "it was started with -I, -E or -R, so strings hash otherwise in each attempt.",
            f"Start it without: {VARIABLE}=0 python PROGRAM",
        )
    if sys.argv[:1] in ([], [""], ["-"]):
        raise UsageError(
            "the program was read from standard input.",
            f"it cannot begin again with {VARIABLE}=0, for nobody can read it twice.",
            f"Set the variable yourself: {VARIABLE}=0 python - <PROGRAM; or give Python a file.",
        )
    sys.stdout.flush()
    sys.stderr.flush()
    env = {**os.environ, VARIABLE: "0", _BEGUN: mine}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], env)  # noqa: S606
