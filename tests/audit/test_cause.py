"""The rules that name a cause: evidence in, a sentence out."""

from dataclasses import replace

import pytest

from evertrain.audit.cause import Evidence, Nature, likely_cause
from evertrain.audit.compare import Difference
from evertrain.audit.evidence import Look, Suspect, differing, forgotten, unlike_at_start
from evertrain.run.audited.census import Found

FIRST = Difference(step=30, part="state", path="agent.w", one="1", two="2", names=("agent.w",))
RESUME = Evidence(first=FIRST, nature=Nature.RESUME, resumed_at=20, is_first_save=True)


def thing(name: str, kind: str = "value", digest: str = "a", within: str | None = None) -> Found:
    """Return something that a program can name."""
    types = {"generator": "numpy.random.Generator", "value": "int", "iterator": "list_iterator"}
    return Found(name, kind, types.get(kind, f"torch.{kind}"), f"is {digest}", digest, within)


def lost(name: str, kind: str = "value", within: str | None = None) -> Suspect:
    """Return something that has started over."""
    return Suspect(
        thing(name, kind, "a", within), thing(name, kind, "b", within), has_started_over=True
    )


CASES = {
    "a generator before all else": (
        replace(
            RESUME, forgotten=[lost("step"), lost("opt", "optimizer"), lost("rng", "generator")]
        ),
        "is not attached: it started over at the resume from step 20; so did `opt`, `step`",
        "run.attach(rng=rng)",
    ),
    "a scheduler where a rate differs": (
        replace(
            RESUME,
            first=replace(FIRST, names=("agent.w", "optimizer.groups[0].lr")),
            forgotten=[lost("opt", "optimizer"), lost("fit(): s", "scheduler")],
        ),
        "`s` of fit() (torch.scheduler) is not attached",
        "run.attach(s=s)",
    ),
    "what an attached object leaves out": (
        replace(RESUME, forgotten=[lost("env.rng", "generator", within="env")]),
        "`env.rng` (numpy.random.Generator) is part of the attached `env`, but not of what that",
        "Let state_dict and load_state_dict of `env` include it",
    ),
    "a number": (
        replace(RESUME, forgotten=[lost("main(): seen")]),
        "(is a at the save, is b after it)",
        "run.state.seen",
    ),
    "an iterator": (
        replace(RESUME, forgotten=[lost("it", "iterator")]),
        "`it` (list_iterator) is not attached",
        "begin there after a resume",
    ),
    "a metric only": (
        replace(RESUME, first=replace(FIRST, part="metrics", path="mean")),
        "`mean` is computed from something that a resume does not bring back",
        "run.state",
    ),
    "a global generator": (
        replace(RESUME, first=replace(FIRST, names=("agent.w", "run.rng.numpy.state.pos"))),
        "drew from a global generator (`run.rng.numpy.state.pos`)",
        "a warm-up",
    ),
    "the data": (RESUME, "a data loader that started over", "position in the data"),
    "nobody knows": (
        replace(RESUME, is_first_save=False),
        "only the killed training differs, after the resume from step 20",
        "with what is attached",
    ),
    "before any resume": (
        replace(RESUME, resumed_at=None, is_first_save=False),
        "before its first resume",
        "",
    ),
    "hash order": (
        replace(RESUME, nature=Nature.HASHES, sets=[thing("names", "set")]),
        "only PYTHONHASHSEED does, so it is not the resume",
        "sorted(...)",
    ),
    "no seed": (
        replace(
            RESUME, nature=Nature.CHANCE, unlike=[lost("rng", "generator")], clocks=["time.time()"]
        ),
        "`rng` begins in another state each time",
        "Give it a seed",
    ),
    "a clock": (
        replace(RESUME, nature=Nature.CHANCE, unlike=[lost("t0")], clocks=["time.time() in f"]),
        "reads the wall clock: time.time() in f",
        "steps, not on time",
    ),
    "chance": (
        replace(RESUME, nature=Nature.CHANCE, unlike=[lost("t0")]),
        "threads, kernels that are not deterministic",
        "OMP_NUM_THREADS=1",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_likely_cause(name: str) -> None:
    """Each kind of evidence has its sentence, and something to do about it."""
    evidence, what, fix = CASES[name]

    found = likely_cause(evidence)

    assert what in found.what
    assert fix in found.fix


def look(at: str, step: int, attempt: int, **digests: str) -> Look:
    """Return a look that found numbers of these digests, and a generator called rng."""
    kinds = {"rng": "generator"}
    found = {name: thing(name, kinds.get(name, "value"), each) for name, each in digests.items()}
    return Look(at, step, attempt, found)


def test_what_a_resume_forgot() -> None:
    """What is as at the beginning has started over; what is new each time is no suspect."""
    looks = [
        look("begin", 0, 1, seen="0", rng="r0", t0="noon", kept="k0"),
        look("save", 20, 1, seen="20", rng="r20", t0="noon", kept="k20", batch="b"),
        look("resume", 20, 2, seen="0", rng="r0", t0="one", kept="k20"),
    ]

    found = forgotten(looks, 20)

    assert [(each.thing.name, each.has_started_over) for each in found] == [
        ("seen", True),
        ("rng", True),
    ]


def test_a_generator_without_a_seed_is_forgotten_too() -> None:
    """It is neither what it was at the save nor what it was at the beginning."""
    looks = [
        look("begin", 0, 1, rng="x"),
        look("save", 20, 1, rng="y"),
        look("resume", 20, 2, rng="z"),
    ]

    assert [each.has_started_over for each in forgotten(looks, 20)] == [False]


def test_without_a_save_nothing_is_claimed() -> None:
    """The look at the save may be missing: the kill came before it was written."""
    looks = [look("begin", 0, 1, seen="0"), look("resume", 20, 2, seen="0")]

    assert forgotten(looks, 20) == []
    assert forgotten(looks, 30) == []


def test_two_beginnings() -> None:
    """What is not alike when nothing has happened yet has no seed."""
    one, two = look("begin", 0, 1, rng="a", seen="0"), look("begin", 0, 1, rng="b", seen="0")

    assert [each.thing.name for each in unlike_at_start([one], [two])] == ["rng"]
    assert unlike_at_start([one], []) == []
    assert [name for name, _, _ in differing(one, two)] == ["rng"]
