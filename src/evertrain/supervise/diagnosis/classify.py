"""The cause of a death: the first failure by time, by the strongest witness. Pure.

Whoever ended the attempt on purpose is believed first, then the kernel, then the signal,
then the exception that the program itself wrote down, and only then the log.

Layer: supervise. Imports core only.
"""

from dataclasses import dataclass, replace
from typing import Final

from evertrain.core.clock import human_duration
from evertrain.core.disk import human_bytes, human_room
from evertrain.core.errors import EXIT_CONFIG, EXIT_DO_NOT_RESTART, EXIT_OK, EXIT_STOPPED
from evertrain.supervise.cause import is_code_error, name_of, why_fatal
from evertrain.supervise.diagnosis.advice import advise
from evertrain.supervise.diagnosis.exception import (
    is_cascade,
    kind_of_exception,
    names_killed_worker,
)
from evertrain.supervise.diagnosis.facts import Facts
from evertrain.supervise.diagnosis.kind import Diagnosis, Kind
from evertrain.supervise.diagnosis.raised import (
    Raised,
    frames_of,
    parse_traceback,
    project_frame,
)
from evertrain.supervise.hang.record import Hang

_NATIVE: Final = frozenset(
    {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP"}
)
# What a program raises that looks at its own numbers.
_CHECKS: Final = frozenset({"AssertionError", "ValueError", "ArithmeticError", "RuntimeError"})
_FATAL: Final = "Fatal Python error: "


@dataclass(frozen=True, slots=True)
class _Cause:
    """What is named as the cause, before it is written up."""

    kind: Kind
    summary: str
    evidence: tuple[str, ...] = ()
    raised: Raised | None = None
    frame: str = ""


_STOPPED_ITSELF: Final = _Cause(
    "preemption", "it stopped for a SIGTERM that the supervisor did not send"
)


def diagnose(facts: Facts) -> Diagnosis:
    """Return why the attempt died."""
    cause = _cause_of(facts)
    return Diagnosis(
        kind=cause.kind,
        summary=cause.summary,
        evidence=(*cause.evidence, *_circumstances(facts, cause)),
        advice=advise(cause.kind, facts, cause.raised),
        fingerprint=_fingerprint(facts, cause),
    )


def fatal(facts: Facts) -> str | None:
    """Return why starting the same command again cannot help, or None if it may."""
    raised = last_exception(facts)
    if facts.code == 1 and raised is not None and is_code_error(raised.line):
        return raised.line
    return why_fatal(facts.code, facts.tail, facts.seconds)


def last_exception(facts: Facts) -> Raised | None:
    """Return the exception that ended the program, as the best witness has it, or None."""
    told = [each for each in facts.raised if each.by in {"run", "main"}]
    if told:
        return told[-1]
    tail = facts.tail
    if tail.traceback is None or not tail.is_last_word or tail.traceback.startswith(_FATAL):
        return None
    return parse_traceback(tail.traceback)


def _cause_of(facts: Facts) -> _Cause:
    raised = last_exception(facts)
    if facts.unstarted is not None:
        return _Cause("exit", f"it could not be started: {facts.unstarted}")
    if facts.hang is not None:
        return _hung(facts.hang, facts, raised)
    if facts.code is None:
        lost = _Cause("lost", "the process that held it was killed, so nobody saw its end")
        return _killed_for_memory(facts, raised) or lost
    why = fatal(facts)
    if why is not None or facts.code == EXIT_CONFIG:
        return _Cause("config", why or "it reports a configuration error", raised=raised)
    if facts.code == EXIT_DO_NOT_RESTART:
        return _Cause("exit", "it asks not to be restarted")
    return (
        _killed_for_memory(facts, raised)
        or _interrupted(facts)
        or _below_python(facts, raised)
        or (_ended(facts) if raised is None else _threw(facts, raised))
    )


def _hung(hang: Hang, facts: Facts, raised: Raised | None) -> _Cause:
    """Name a hang; of one at the exit, what came before it."""
    limit = f"it may be silent for {human_duration(hang.limit_s)} there"
    if hang.kind == "hang":
        return _Cause("hang", hang.summary, (limit, *hang.moved), frame=hang.phase)
    first = _threw(facts, raised) if raised is not None else None
    if first is None and facts.was_terminated:
        first = _STOPPED_ITSELF
    if first is None:
        return _Cause("exit hang", hang.summary, (limit, *hang.moved), frame=hang.phase)
    return replace(first, evidence=(*first.evidence, f"then {hang.summary}"))


def _killed_for_memory(facts: Facts, raised: Raised | None) -> _Cause | None:
    """Name the kernel, where its own counters say so and the death fits."""
    kills = facts.kills
    if raised is not None and raised.by != "log" and not is_cascade(raised):
        return None  # that came first: it was killed on its way out
    is_killed = facts.signal == "SIGKILL" or facts.code is None
    has_lost = raised is not None and (is_cascade(raised) or names_killed_worker(raised))
    in_group = bool(kills.in_group) and (is_killed or has_lost)
    # A launcher's child may live in another group: then only the machine's count is left.
    is_elsewhere = kills.in_group is None or facts.is_behind_shell
    on_machine = bool(kills.on_machine) and is_elsewhere and (is_killed or has_lost)
    if not in_group and not on_machine:
        return None
    who = "it" if is_killed else "a worker of it"
    peak = "" if facts.peak_bytes is None else f" at {human_bytes(facts.peak_bytes)} resident"
    summary = f"the kernel's out-of-memory killer ended {who}{peak}"
    return _Cause("kernel OOM", summary, kills.evidence, raised)


def _interrupted(facts: Facts) -> _Cause | None:
    if facts.was_terminated and facts.code in {EXIT_OK, EXIT_STOPPED}:  # else by timeout(1)
        return _STOPPED_ITSELF
    if facts.signal == "SIGTERM":
        return _Cause("preemption", "ended by a SIGTERM that the supervisor did not send")
    return None


def _below_python(facts: Facts, raised: Raised | None) -> _Cause | None:
    """Name a signal, unless an exception came before it."""
    name = facts.signal
    if name is None:
        return None
    if raised is not None and not is_cascade(raised):  # it broke on its way out
        cause = _threw(facts, raised)
        return _Cause(cause.kind, cause.summary, (f"then ended by {name}", *cause.evidence), raised)
    if name not in _NATIVE:
        return _Cause("signal", _signalled(facts, name), frame=facts.phase)
    block = facts.fault or facts.tail.native or ""
    said = _said_natively(block, facts)
    if said is not None:
        return _Cause(said[0], said[1], (f"ended by {name}",))
    frame = _native_frame(block)
    where = f" in {frame}" if frame else ""
    told = (f"faulthandler: {_fatal_line(block)}",) if block else ()
    return _Cause("native crash", f"{name}{where}: crashed below Python", told, frame=frame)


def _signalled(facts: Facts, name: str) -> str:
    if name == "SIGKILL" and not facts.kills.on_machine:
        return "killed by SIGKILL, and not by the kernel's out-of-memory killer"
    if name == "SIGKILL":
        return "killed by SIGKILL"
    return f"ended by {name}"


def _said_natively(block: str, facts: Facts) -> tuple[Kind, str] | None:
    """Return what a library said before it called abort(), where that names the cause."""
    lines = [*facts.tail.lines[-20:], *block.splitlines()[:3]]
    for line in reversed(lines):
        text = line.strip().removeprefix("what():").strip()
        kind = kind_of_exception(Raised(type="abort", message=text))
        if kind in {"CUDA OOM", "memory error", "disk full"}:
            return kind, f"{text[:200]} (then aborted)"
    return None


def _threw(facts: Facts, raised: Raised) -> _Cause:
    """Name an exception, or what came before it in a process that it lost."""
    if is_cascade(raised):
        first = _initiating(facts)
        if first is not None:
            kind = kind_of_exception(first)
            told = (f"the leader then lost it: {raised.line}",)
            return _Cause(kind, f"in a worker: {first.line}", told, first, first.frame)
        block = facts.fault or facts.tail.native or ""
        if block:
            return _lost_natively(block, raised)
    kind = kind_of_exception(raised)
    if kind == "exception" and facts.not_finite and raised.name in _CHECKS:
        kind = "NaN"  # the program's own check of what it had just measured
    return _Cause(kind, raised.line, (), raised, raised.frame)


def _lost_natively(block: str, raised: Raised) -> _Cause:
    frame = _native_frame(block)
    where = f" in {frame}" if frame else ""
    told = (f"faulthandler: {_fatal_line(block)}", f"the leader then lost it: {raised.line}")
    return _Cause("native crash", f"a worker crashed below Python{where}", told, raised, frame)


def _initiating(facts: Facts) -> Raised | None:
    """Return the failure of a worker that the leader's exception only tells of."""
    told = [each for each in facts.raised if each.by in {"child", "thread"}]
    logged = [parse_traceback(text) for text in facts.tail.earlier]
    candidates = [*told, *(each for each in logged if each is not None)]
    return next((each for each in candidates if not is_cascade(each)), None)


def _ended(facts: Facts) -> _Cause:
    if facts.code == 0:
        return _Cause("exit", "ended with exit code 0 without finishing")
    return _Cause("exit", name_of(facts.code))


def _circumstances(facts: Facts, cause: _Cause) -> tuple[str, ...]:
    """Return what else speaks for the cause, or should be known beside it."""
    found: list[str] = []
    if cause.raised is not None and cause.raised.frame:
        found.append(f"raised at {cause.raised.frame}")
    if facts.is_behind_shell and facts.signal is not None:
        found.append(f"exit code {facts.code} is how a shell reports {facts.signal}")
    if facts.step is not None:
        phase = f", in {facts.phase}" if facts.phase else ""
        found.append(f"last finished step {facts.step:,}{phase}")
    if facts.peak_bytes is not None and cause.kind in {"kernel OOM", "memory error", "signal"}:
        found.append(f"largest process: {human_bytes(facts.peak_bytes)} resident")
    if cause.kind == "disk full" and facts.room is not None:
        found.append(f"the run's disk has {human_room(facts.room)} free")
    if cause.kind == "disk full" and facts.save_error is not None:
        found.append(f"its last save failed: {facts.save_error}")
    if facts.not_finite:
        found.append(f"not finite in its last metrics: {', '.join(facts.not_finite[:5])}")
    if cause.kind != "kernel OOM":
        found += [
            f"the kernel killed for memory meanwhile: {each}" for each in facts.kills.evidence
        ]
    told = [each for each in facts.raised if each.by == "thread" and each is not cause.raised]
    found += [f"earlier, in a thread: {each.line}" for each in told[-3:]]
    return tuple(found)


def _fingerprint(facts: Facts, cause: _Cause) -> str:
    """Return what two deaths share that died in the same way at the same place."""
    step = facts.step
    if cause.raised is not None and cause.raised.step is not None:
        step = cause.raised.step
    parts = [
        cause.kind,
        cause.raised.name if cause.raised else (facts.signal or name_of(facts.code)),
        cause.frame or (cause.raised.frame if cause.raised else ""),
        "" if step is None else f"step {step}",
    ]
    return " | ".join(part for part in parts if part)


def _fatal_line(block: str) -> str:
    return block.strip().partition("\n")[0].removeprefix(_FATAL)


def _native_frame(block: str) -> str:
    """Return the innermost frame of the program in what `faulthandler` wrote, or ""."""
    current = block.partition("Current thread")[2] or block
    stack = current.partition("\n\n")[0]
    return project_frame(frames_of(stack)[::-1])  # it prints the innermost first
