"""What the auditor sees of a program, without touching it."""

import random
import time
import types
from collections import deque
from functools import partial
from typing import Any

import numpy as np
import pytest

from evertrain import Run
from evertrain.run.audited.census import census, parts_of, type_name
from evertrain.run.audited.clocks import clock_reads, reads
from evertrain.run.audited.likeness import likeness
from support import OpenRun


class Slotted:
    """A class without a dict."""

    __slots__ = ("inner", "unset")

    def __init__(self) -> None:
        self.inner = 3


class Env:
    """An object with things inside."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.seen = [1, {"deep": 2.5}]
        self.slotted = Slotted()
        self.me = self

    def step(self) -> None:
        """Do nothing."""


def seen(**attached: Any) -> dict[str, str]:
    """Return what is found inside attached things, by name, with its kind."""
    found = census(attached, {})
    return {each.name: each.kind for each in found if each.within is not None}


def test_everything_that_has_a_name_is_found() -> None:
    """Attributes, slots, items and bound methods; a cycle ends."""
    assert seen(env=Env()) == {
        "env.rng": "generator",
        "env.seen[0]": "value",
        "env.seen[1].deep": "value",
        "env.slotted.inner": "value",
    }
    assert "act.rng" in seen(act=Env().step)
    assert "act[0][0]" in seen(act=partial(max, [1]))


def test_closures_and_variables_of_the_program() -> None:
    """A function's hidden variable counts, and so do the locals of whoever is running."""
    count = 0

    def bump() -> int:
        return count + 1

    name = "test_closures_and_variables_of_the_program"
    names = {each.name: each.text for each in census({}, {})}

    assert names[f"{name}(): count"] == "0"
    assert dict(parts_of("bump", bump)) == {"bump(): count": 0}


def test_what_is_in_the_state_is_not_looked_at() -> None:
    """run.state comes back by itself."""
    rows = [1, 2]

    assert [
        each.name for each in census({"a": {"rows": rows}}, {"rows": rows}) if each.within
    ] == []


def test_looking_changes_nothing() -> None:
    """No number is drawn, nothing is consumed."""
    generator, plain, items = np.random.default_rng(1), random.Random(1), iter(range(5))
    before = (generator.bit_generator.state, plain.getstate())

    census({"g": generator, "p": plain, "i": items}, {})

    assert (generator.bit_generator.state, plain.getstate()) == before
    assert list(items) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("make", "change", "kind"),
    [
        (lambda: np.random.default_rng(0), lambda x: x.random(), "generator"),
        (lambda: random.Random(0), lambda x: x.random(), "generator"),
        (lambda: np.random.RandomState(0), lambda x: x.rand(), "generator"),
        (lambda: iter([1, 2, 3]), next, "iterator"),
        (lambda: (each for each in range(3)), next, "iterator"),
        (lambda: np.zeros(9), lambda x: x.fill(1), "array"),
        (lambda: {"a", "b"}, lambda x: x.add("c"), "set"),
        (lambda: list(range(999)), lambda x: x.append(1), "value"),
        (lambda: deque(range(999)), lambda x: x.append(1), "value"),
    ],
    ids=["numpy", "python", "legacy", "list", "generator", "array", "set", "long list", "deque"],
)
def test_a_change_shows(make: Any, change: Any, kind: str) -> None:
    """Two alike are alike; one that was used is not."""
    one, two = make(), make()
    before, other = likeness(one), likeness(two)
    assert before is not None
    assert before == other

    change(one)

    after = likeness(one)
    assert after is not None
    assert (after.kind, after.digest != before.digest) == (kind, True)


def test_torch_is_known_by_name() -> None:
    """Optimizers, schedulers and generators tell how far they are."""
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    generator = torch.Generator().manual_seed(0)
    before = [likeness(each) for each in (optimizer, scheduler, generator)]

    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    scheduler.step()
    torch.rand(1, generator=generator)
    after = [likeness(each) for each in (optimizer, scheduler, generator)]

    assert [each.kind for each in before if each] == ["optimizer", "scheduler", "generator"]
    assert [each.text for each in before if each][:2] == ["no state", "last_epoch 0"]
    assert [each.text for each in after if each][:2] == ["6 arrays of state", "last_epoch 1"]
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert type_name(type(optimizer)) == "torch.optim.adam.Adam"


@pytest.mark.parametrize("value", [len, time, lambda: 1, type, object(), Slotted, {1, 2}, print])
def test_what_is_not_looked_at(value: object) -> None:
    """Code, modules and classes hold no state of a training; numbers have no hash seed."""
    assert likeness(value) is None


def noisy() -> float:
    """Read a clock."""
    return time.perf_counter()


def quiet(step: int) -> int:
    """Read none, though something is called like one."""
    return int(types.SimpleNamespace(time=step).time)


def test_reads_of_clocks() -> None:
    """What reads the time is named, with its line."""
    names = {"time": time, "types": types}
    line = noisy.__code__.co_firstlineno + 2

    assert list(reads(noisy.__code__, names)) == [("time.perf_counter", line)]
    assert list(reads(quiet.__code__, names)) == []
    plain = compile("from time import time\nx = time()", "f.py", "exec")
    assert [what for what, _ in reads(plain, {"time": time.time})] == ["time.time"]


def test_a_loop_that_stands_in_no_function_is_read_too() -> None:
    """Most scripts train where the module ends; that code is known while it runs."""
    script = "import time\nbegan = time.time()\nfound = look()"
    names: dict[str, Any] = {"__name__": "__main__", "look": clock_reads}

    exec(compile(script, "/somewhere/loop.py", "exec"), names)  # noqa: S102  (as a script runs)

    assert "time.time() in <module> (loop.py:2)" in names["found"]


def test_without_an_audit_nothing_is_noted(open_run: OpenRun) -> None:
    """No file, no import: a run that nobody audits does not know of it."""
    run: Run = open_run(total=2)
    for _ in run:
        pass

    assert not (run.path / "audit.jsonl").exists()


def test_what_python_does_not_print_is_told_all_the_same() -> None:
    """An integer of thousands of digits, and an object whose class cannot print it."""

    class Mute:
        def __repr__(self) -> str:
            raise RuntimeError

    one, other = (likeness(10**5000 + each) for each in range(2))
    assert one is not None
    assert other is not None
    assert one.digest != other.digest
    assert likeness({10**5000, "x"}) == likeness({10**5000, "x"})
    assert likeness({Mute(), "x"}) is not None
