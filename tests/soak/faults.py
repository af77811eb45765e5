"""What a soak does to its victim, class by class, and what has to follow."""

import random
import threading
import time
from collections.abc import Callable
from typing import Final

from evertrain.testing.chaos import FillDisk, FlipBits, Hang, Interrupt, Kill, TearTail
from soak.account import Case
from soak.victim import Victim

FULL_S: Final = 5.0
CALM_S: Final = 3.0  # longest pause between two faults


def full_disk(victim: Victim) -> str:
    """Fill the disk for a while."""
    return victim.inflict(FillDisk(duration_s=FULL_S))


def killed_on_a_full_disk(victim: Victim) -> str:
    """Kill the trainer while the disk is full: it has to start again on it, or wait."""
    filling = threading.Thread(target=full_disk, args=(victim,))
    filling.start()
    time.sleep(FULL_S / 3)
    what = victim.inflict(Kill())
    filling.join()
    return what


def rotten(victim: Victim) -> str:
    """Kill the trainer, and flip a bit of what it will want to go on from."""
    if not victim.inflict(Kill()):
        return ""
    return victim.inflict(FlipBits(pattern=f"checkpoints/{victim.newest:09d}/*"))


def torn(pattern: str) -> Callable[[Victim], str]:
    """Return what leaves half a line in a file, and kills whoever writes there."""

    def act(victim: Victim) -> str:
        what = victim.inflict(TearTail(pattern=pattern))
        victim.inflict(Kill())
        return what

    return act


ROT: Final = "SIGKILL, and a bit flipped in the newest checkpoint"
DISK: Final = {"full disk for 5 s": full_disk, "SIGKILL on a full disk": killed_on_a_full_disk}
RIVALS: Final = {"second trainer": False, "second supervisor": True}
# Who is harmed so lives on, or nobody is: no new attempt has to begin.
LIVES_ON: Final = {
    *("trainer stopped for 3 s", "supervisor stopped for 3 s", "full disk for 5 s"),
    *RIVALS,
}
FAULTS: Final[dict[str, Callable[[Victim], str]]] = {
    "SIGKILL of the trainer": lambda victim: victim.inflict(Kill()),
    "SIGKILL of the supervisor": lambda victim: victim.inflict(Kill(who="supervisor")),
    "SIGKILL of the shim": lambda victim: victim.inflict(Kill(who="shim")),
    "trainer stopped for 3 s": lambda victim: victim.inflict(Hang(duration_s=3)),
    "supervisor stopped for 3 s": lambda victim: victim.inflict(
        Hang(who="supervisor", duration_s=3)
    ),
    "Ctrl+C, then started again": lambda victim: victim.inflict(Interrupt()),
    ROT: rotten,
    "torn line in the journal, and SIGKILL": torn("journal.jsonl"),
    "torn line in the metrics, and SIGKILL": torn("metrics.jsonl"),
    **DISK,
}


def undergo(victim: Victim, label: str) -> Case | None:
    """Do one thing to the victim, and see it through. None if the training was over first."""
    began_s = time.monotonic()
    step, newest, resumes = victim.step, victim.newest, len(victim.events("resumed"))
    problem: str | None = None
    if label in RIVALS:
        what = "started beside it"
        problem = victim.refuses(is_supervised=RIVALS[label])
    else:
        what = FAULTS[label](victim)
    if not what or victim.is_over:
        return None
    wanted = resumes if label in LIVES_ON else resumes + 1
    if not victim.comes_further(step, wanted):
        problem = f"no step after {step} within its time"
    starts = [int(row["step"]) for row in victim.events("resumed")[resumes:]]
    damaged = victim.clear_quarantine()
    return Case(
        label=label,
        what=what,
        problem=problem or _problem(label, what, starts, newest, damaged),
        twice_steps=max(0, step - starts[0]) if starts else 0,
        seconds=time.monotonic() - began_s,
    )


def _problem(label: str, what: str, starts: list[int], newest: int, damaged: int) -> str | None:
    """Return what a fault cost that it must not cost. `metadata.json` is loaded by nobody."""
    if label == ROT and "metadata.json" not in what:
        return None if damaged else "the flipped bit was not noticed"
    if damaged:
        return f"{damaged} whole checkpoints were set aside"
    if any(each < newest for each in starts):
        return f"it went on from {starts}, and there was a checkpoint of {newest}"
    return None


def storm(victim: Victim, labels: list[str], until_s: float, seed: int) -> list[Case]:
    """Do everything, in rounds, until the time is up or the training complete."""
    chance, cases = random.Random(seed), list[Case]()
    assert victim.comes_further(0), "the training does not begin"
    while victim.has_time(until_s):
        for label in chance.sample(labels, len(labels)):
            time.sleep(chance.uniform(0.0, CALM_S))
            victim.comes_further(victim.step)
            if not victim.has_time(until_s):
                break
            case = undergo(victim, label)
            if case is not None:
                cases.append(case)
                word = "survived" if case.problem is None else f"LOST: {case.problem}"
                print(f"{case.label}: {case.what}; {word}, {case.seconds:.1f} s", flush=True)
    while not victim.is_over and victim.comes_further(victim.step):
        time.sleep(0.2)
    return cases
