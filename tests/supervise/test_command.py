"""`evertrain.supervise.command`: names of runs, and commands that cannot be started."""

from pathlib import Path

import pytest

from evertrain.core.errors import ConfigError, UsageError
from evertrain.supervise.command import check_command, default_run_dir


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python train.py", "train"),
        ("/usr/bin/python3.11 -u -W ignore src/train.py --lr=0.1", "train"),
        ("python -m pkg.mod --x 1", "mod"),
        ("bash scripts/x.sh", "x"),
        ("./train.sh", "train"),
        ("train.v2.py", "train.v2"),
        ("env CUDA_VISIBLE_DEVICES=0 python train.py", "train"),
        ("uv run train.py", "train"),
        ("nice -n 10 python train.py", "train"),
        ("torchrun --nproc 2 train.py", "torchrun"),
        ("python -c pass", "python"),
        ("bash -lc whatever", "bash"),
        ("python", "python"),
        ("env", "env"),
    ],
)
def test_the_run_is_called_after_the_script(command: str, name: str) -> None:
    """Interpreters and wrappers are not what a run is about."""
    assert default_run_dir(command.split()) == Path("runs") / name


def test_no_command_is_a_usage_error() -> None:
    """The message shows how it is done."""
    with pytest.raises(UsageError, match="evertrain run -- python train"):
        check_command([])


def test_a_missing_and_a_plain_file_are_told_apart(tmp_path: Path) -> None:
    """Neither can be started; the fix differs."""
    script = tmp_path / "train.sh"
    script.write_text("true\n")
    with pytest.raises(ConfigError, match="is not executable"):
        check_command([str(script)])
    with pytest.raises(ConfigError, match="there is no program"):
        check_command([str(tmp_path / "none.sh")])
    script.chmod(0o755)
    check_command([str(script)])


@pytest.mark.parametrize(
    ("command", "fix"),
    [
        (["sh train.sh --lr 1"], "without quotes: evertrain run -- sh train.sh --lr 1"),
        (["sh a.sh && sh b.sh"], "evertrain run -- bash -c 'sh a.sh && sh b.sh'"),
        (["source", "venv/bin/activate"], "bash -c 'source venv/bin/activate'"),
        (["LR=1", "sh", "train.sh"], "evertrain run -- env LR=1 sh train.sh"),
        (["models/ep2.pt", "--", "sh", "train.sh"], "--checkpoints 'models/*.pt'"),
        (["pyhton", "train.py"], "Check its name"),
        (["/no such dir/python"], "Check its name"),
    ],
)
def test_what_was_meant_is_said(command: list[str], fix: str) -> None:
    """Quotes around everything, words of a shell, variables, a pattern without quotes."""
    with pytest.raises(ConfigError) as caught:
        check_command(command)
    assert fix in caught.value.fix
