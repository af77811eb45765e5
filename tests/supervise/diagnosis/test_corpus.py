"""`evertrain.supervise.diagnosis`: what is made of some seventy deaths."""

import pytest

from evertrain.supervise.diagnosis.classify import diagnose, fatal
from evertrain.supervise.diagnosis.kind import KINDS
from supervise.diagnosis.corpus import DEATHS, Death


@pytest.mark.parametrize("death", DEATHS, ids=lambda death: death.name)
def test_the_cause_is_named(death: Death) -> None:
    """Kind, summary and advice are those of what really happened, and nothing is made up."""
    found = diagnose(death.facts)

    assert found.kind == death.kind, found
    assert death.says in found.summary
    told = "\n".join(found.advice)
    for part in death.advises.split("|"):
        assert part in told
    assert found.fingerprint.startswith(death.kind)
    assert "\n" not in found.summary


def test_the_corpus_is_worth_its_name() -> None:
    """Every kind of death is in it, and forty deaths at least."""
    assert len({death.name for death in DEATHS}) == len(DEATHS) >= 40
    assert {death.kind for death in DEATHS} == set(KINDS)


@pytest.mark.parametrize("death", DEATHS, ids=lambda death: death.name)
def test_only_faults_of_program_and_settings_are_never_retried(death: Death) -> None:
    """Whatever else it was, the next attempt may live: a wrong "never" loses a night."""
    is_final = fatal(death.facts) is not None or death.code == 78

    assert is_final == (death.kind == "config")


def _named(name: str) -> Death:
    return next(death for death in DEATHS if death.name == name)


def test_the_evidence_is_shown() -> None:
    """The kernel's counter, the shell's code, the worker's and the leader's exception."""
    assert (
        "memory.events: oom_kill 0 -> 1"
        in diagnose(_named("the same behind a shell script").facts).evidence[0]
    )
    shell = diagnose(next(d for d in DEATHS if d.code == 139).facts)
    assert "exit code 139 is how a shell reports SIGSEGV" in shell.evidence
    worker = diagnose(_named("a worker raises, and the leader only loses its pipe").facts)
    assert "the leader then lost it: EOFError" in worker.evidence
    assert "raised at env.py:17 in reset" in worker.evidence
    helper = diagnose(
        _named("an exception of its own, though the kernel killed a helper meanwhile").facts
    )
    assert (
        "the kernel killed for memory meanwhile: memory.events: oom_kill 0 -> 1" in helper.evidence
    )
    loss = diagnose(_named("a check of a loss that is NaN already").facts)
    assert "not finite in its last metrics: loss" in loss.evidence
    full = diagnose(_named("a full disk").facts)
    assert "the run's disk has 0 B free" in full.evidence
    assert "its last save failed: no room" in full.evidence


def test_fingerprints_tell_places_apart() -> None:
    """Kind, exception, the program's own frame, and the step."""
    bug = diagnose(_named("an ordinary bug").facts)
    assert bug.fingerprint == "exception | RuntimeError | train.py:41 in step | step 4312"
    native = diagnose(_named("a simulator segfaults").facts)
    assert native.fingerprint == "native crash | SIGSEGV | env.py:30 in step | step 4312"
    hook = diagnose(_named("what the log lost, the hook has").facts)
    assert hook.fingerprint == "exception | EnvError | train.py:41 in step | step 4312"
