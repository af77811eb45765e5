"""`init_from` and torch: modules are taken; what trains them starts fresh."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from evertrain import Run
from evertrain.core.errors import StateError

Save = Callable[[dict[str, Any], Path], Path]


class Program:
    """Everything that a torch training attaches."""

    def __init__(self, width: int = 3) -> None:
        torch.manual_seed(width)
        self.first = torch.nn.Linear(4, width)
        self.agent = torch.nn.Sequential(self.first, torch.nn.BatchNorm1d(width))
        self.adam = torch.optim.Adam(self.agent.parameters(), lr=0.1)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.adam, 1)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        self.generator = torch.Generator().manual_seed(width)

    def things(self) -> dict[str, Any]:
        return {
            "agent": self.agent,
            "adam": self.adam,
            "schedule": self.schedule,
            "scaler": self.scaler,
            "generator": self.generator,
        }

    def step(self) -> None:
        x = torch.randn(5, 4, generator=self.generator)
        self.scaler.scale(self.agent(x).square().sum()).backward()
        self.adam.step()
        self.schedule.step()
        self.scaler.update(4.0)


@pytest.fixture
def source(tmp_path: Path) -> tuple[Path, Program]:
    """A finished run of two steps, and its program."""
    program = Program()
    with Run(tmp_path / "source", total=2) as run:
        run.attach(**program.things(), all=program.things())
        for _ in run:
            program.step()
    return run.path, program


def _start(path: Path, source: Path, **things: Any) -> None:
    with Run(path, total=5, init_from=source) as run:
        run.attach(**things)
        run.restore()


@pytest.mark.parametrize("is_nested", [False, True])
def test_only_the_module_is_taken(
    tmp_path: Path,
    source: tuple[Path, Program],
    capsys: pytest.CaptureFixture[str],
    *,
    is_nested: bool,
) -> None:
    """Moments, rate, scale and generator are those of a fresh start, also inside a dict."""
    path, teacher = source
    mine, fresh = Program(), Program()
    _start(tmp_path / "r", path, **({"all": mine.things()} if is_nested else mine.things()))

    for key, value in teacher.agent.state_dict().items():
        assert torch.equal(mine.agent.state_dict()[key], value)
    assert mine.adam.state_dict()["state"] == {}
    assert mine.adam.param_groups[0]["lr"] == 0.1
    assert mine.schedule.state_dict() == fresh.schedule.state_dict()
    assert mine.scaler.get_scale() == 8.0
    assert torch.equal(mine.generator.get_state(), fresh.generator.get_state())
    if not is_nested:
        assert "agent; fresh: adam, schedule, scaler, generator" in capsys.readouterr().out


def test_another_optimizer_is_no_difference(tmp_path: Path, source: tuple[Path, Program]) -> None:
    """What starts fresh need not fit, nor be there."""
    path, teacher = source
    mine = Program()
    sgd = torch.optim.SGD(mine.agent.parameters(), lr=0.5, momentum=0.9)
    new = torch.optim.SGD(mine.agent.parameters(), lr=0.7)
    _start(tmp_path / "r", path, agent=mine.agent, adam=sgd, new=new)

    assert torch.equal(mine.first.weight, teacher.first.weight)
    assert (sgd.state_dict()["state"], sgd.param_groups[0]["lr"]) == ({}, 0.5)


def _safetensors(state: dict[str, Any], path: Path) -> Path:
    save_file(state, path / "w.safetensors")
    return path / "w.safetensors"


def _pt(state: dict[str, Any], path: Path) -> Path:
    torch.save(state, path / "w.pt")
    return path / "w.pt"


def _old_pth(state: dict[str, Any], path: Path) -> Path:
    torch.save(state, path / "w.pth", _use_new_zipfile_serialization=False)
    return path / "w.pth"


@pytest.mark.parametrize("save", [_safetensors, _pt, _old_pth])
@pytest.mark.parametrize("prefix", ["", "agent."])
def test_a_bare_file_of_weights(tmp_path: Path, save: Save, prefix: str) -> None:
    """A state dict of elsewhere fills the one module, whatever else is attached."""
    teacher, mine = Program(), Program()
    teacher.step()
    state = {prefix + key: value for key, value in teacher.agent.state_dict().items()}
    _start(tmp_path / "r", save(state, tmp_path), **mine.things())

    for key, value in teacher.agent.state_dict().items():
        assert torch.equal(mine.agent.state_dict()[key], value)
    assert mine.adam.state_dict()["state"] == {}


def test_half_precision_arrives_bit_for_bit(tmp_path: Path) -> None:
    """Numpy has no bfloat16; it is not needed here."""
    teacher, mine = (torch.nn.Linear(3, 3).bfloat16() for _ in range(2))
    _start(tmp_path / "r", _safetensors(teacher.state_dict(), tmp_path), agent=mine)

    assert torch.equal(mine.weight, teacher.weight)


def test_a_training_of_elsewhere_gives_its_parts(tmp_path: Path) -> None:
    """In a file of named parts, those attached with weights are taken; the rest is left alone."""
    teacher, mine = Program(), Program()
    teacher.step()
    parts = {"agent": teacher.agent.state_dict(), "adam": teacher.adam.state_dict(), "epoch": 7}
    _start(tmp_path / "r", _pt(parts, tmp_path), **mine.things())

    assert torch.equal(mine.first.weight, teacher.first.weight)
    assert mine.adam.state_dict()["state"] == {}


@pytest.mark.parametrize("is_nested", [False, True])
def test_what_does_not_fit_is_listed(tmp_path: Path, *, is_nested: bool) -> None:
    """Missing, extra and reshaped keys by their names, and nothing is changed."""
    mine = Program()
    before = mine.first.weight.clone()
    state = Program(2).agent.state_dict()
    del state["0.bias"]
    state["2.weight"] = torch.ones(1)
    path = _pt({"agent": state} if is_nested else state, tmp_path)

    with pytest.raises(StateError) as caught:
        _start(tmp_path / "r", path, **mine.things())
    for line in (
        "agent.0.bias: missing in the file",
        "agent.2.weight: not in the program",
        "agent.0.weight: shape (2, 4) there, (3, 4) here",
    ):
        assert line in caught.value.what
    assert torch.equal(mine.first.weight, before)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("sprung"),))


@pytest.mark.parametrize("how", ["torch", "pickle", "garbage", "list"])
def test_a_file_that_is_no_plain_state_dict_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """No code of it runs; the message says how to save weights."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "w.pt"
    if how == "torch":
        torch.save({"agent": Trap()}, path)
    elif how == "list":
        torch.save([torch.ones(1)], path)
    else:
        path.write_bytes(pickle.dumps({"agent": Trap()}, 2) if how == "pickle" else b"garbage")

    with pytest.raises(StateError, match=r"state_dict\(\), PATH"):
        _start(tmp_path / "r", path, agent=torch.nn.Linear(2, 2))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("data", [b"junk", b"", b"\x80\x02", b"PK\x03\x04junk", bytes(100)])
def test_a_file_of_junk_is_told(tmp_path: Path, data: bytes) -> None:
    """Whatever its reader stumbles over, the message names the file."""
    (tmp_path / "junk.pt").write_bytes(data)
    with Run(tmp_path / "run", total=1, init_from=tmp_path / "junk.pt") as run:
        run.attach(agent=torch.nn.Linear(2, 2))
        with pytest.raises(StateError, match=r"junk\.pt holds more than weights, or is damaged"):
            run.restore()


@pytest.mark.parametrize(
    ("shape", "partial", "line"),
    [
        ((2, 2), (), "w.pt: agent\n"),
        ((3, 2), ["agent.weight"], "w.pt: agent (without weight)\n"),
        ((3, 2), ["*"], "w.pt: agent (without weight)\n"),
    ],
)
def test_the_line_names_what_stays_fresh(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    shape: tuple[int, int],
    partial: list[str],
    line: str,
) -> None:
    """A tensor that may differ, and does, was not taken."""
    torch.save({"weight": torch.zeros(shape), "bias": torch.zeros(2)}, tmp_path / "w.pt")
    with Run(tmp_path / "run", total=1, init_from=tmp_path / "w.pt", partial=partial) as run:
        run.attach(agent=torch.nn.Linear(2, 2))
        run.restore()

    assert line in capsys.readouterr().out


def test_nothing_taken_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where every tensor is missing or of another shape, none is taken, and the line says so."""
    torch.save({"weight": torch.zeros(3, 2)}, tmp_path / "w.pt")
    with Run(tmp_path / "run", total=1, init_from=tmp_path / "w.pt", partial="*") as run:
        run.attach(agent=torch.nn.Linear(2, 2))
        run.restore()

    assert "w.pt: none; fresh: agent\n" in capsys.readouterr().out
