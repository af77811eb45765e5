"""`evertrain.supervise.systemd.unit`: what the unit says, and that systemd accepts it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from evertrain.supervise.systemd.unit import Unit, carried, unit_name, unit_text


def values(text: str, name: str) -> list[str]:
    """Return what the unit sets `name` to."""
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{name}=")]


def unit(tmp_path: Path, **more: object) -> Unit:
    """Return a unit with a program that is there."""
    fields: dict[str, object] = {
        "run": tmp_path / "run",
        "command": ["/bin/true", "run", "--", "train me", "100%", "$HOME"],
        "cwd": tmp_path,
        "grace_s": 120.5,
    }
    return Unit(**{**fields, **more})  # type: ignore[arg-type]


def test_what_it_says(tmp_path: Path) -> None:
    """Notifies, is watched, stops gracefully, comes back unless that cannot help."""
    text = unit_text(unit(tmp_path, environment={"B": "2", "A": 'x "y" %'}))
    for name, value in {
        "Type": "notify",
        "NotifyAccess": "main",
        "KillMode": "mixed",
        "Restart": "on-failure",
        "RestartSec": "10",
        "SuccessExitStatus": "75 130",
        "RestartPreventExitStatus": "2 10 11 20 75 78 93 130",
        "TimeoutStopSec": "181",
        "WatchdogSec": "120",
        "OOMPolicy": "continue",
        "StartLimitIntervalSec": "1h",
        "StartLimitBurst": "6",
        "RequiresMountsFor": f"{tmp_path}/run {tmp_path}",
        "WorkingDirectory": str(tmp_path),
        "ExecStart": '/bin/true run -- "train me" 100%% $$HOME',
        "WantedBy": "multi-user.target",
    }.items():
        assert values(text, name) == [value], name
    assert values(text, "Environment") == ['"A=x \\"y\\" %%"', "B=2"]
    assert values(text, "User") == values(text, "EnvironmentFile") == []


def test_for_users_and_with_secrets(tmp_path: Path) -> None:
    """The user's manager has another target; secrets are in a file of their own."""
    of_user = unit_text(unit(tmp_path, is_user=True, env_file=tmp_path / "secrets"))
    assert values(of_user, "WantedBy") == ["default.target"]
    assert values(of_user, "EnvironmentFile") == [f"-{tmp_path}/secrets"]
    assert values(unit_text(unit(tmp_path, user="ada")), "User") == ["ada"]


def test_the_environment_that_is_carried() -> None:
    """What makes the training find the same libraries and devices, and no secret."""
    environ = {
        "PATH": "/venv/bin",
        "VIRTUAL_ENV": "/venv",
        "CUDA_VISIBLE_DEVICES": "1",
        "OMP_NUM_THREADS": "2",
        "HF_TOKEN": "s3cret",
        "WANDB_API_KEY": "s3cret",
        "EVERTRAIN_NOTIFY": "https://s3cret",
        "EVERTRAIN_RUN": "/elsewhere",
        "NOTIFY_SOCKET": "/run/x",
        "HOME": "/h",
    }
    kept = ["PATH", "VIRTUAL_ENV", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"]
    assert list(carried(environ)) == kept


def test_names() -> None:
    """Whatever a run is called, its unit has a name that systemd takes."""
    assert unit_name(Path("/x/trading")) == "evertrain-trading.service"
    assert unit_name(Path("/x/a b%\u00e9@c")) == "evertrain-a-b---c.service"


@pytest.mark.slow
@pytest.mark.parametrize("is_user", [True, False])
@pytest.mark.parametrize("folder", ["plain", "two words", "a b%n$HOME'\"\\x;#", "d\u00e9j\u00e0"])
def test_systemd_accepts_it(tmp_path: Path, folder: str, *, is_user: bool) -> None:
    """Not one remark from `systemd-analyze verify`; it also looks whether the program is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("NOT TESTED, no systemd-analyze here: apt-get install systemd")
    place = tmp_path / folder
    place.mkdir()
    program = place / "python"
    program.symlink_to("/bin/true")
    text = unit_text(
        unit(
            tmp_path,
            run=place / "run",
            cwd=place,
            command=[str(program), "-P", folder, "$X ${Y}", "%i", "a;b", ";", "tab\tnewline\nend"],
            environment={"PATH": f"{folder}:/bin", "ODD": "a\nb\\ \"'%$"},
            env_file=place / "secrets",
            is_user=is_user,
        )
    )
    path = tmp_path / "evertrain-test.service"
    path.write_text(text)
    who = "--user" if is_user else "--system"
    done = subprocess.run(
        ["systemd-analyze", "verify", who, "--man=no", str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    about_it = [line for line in done.stderr.splitlines() if "evertrain" in line]
    assert about_it == [], text
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_systemd_would_find_a_fault(tmp_path: Path) -> None:
    """The look at the program is worth something: a wrong path is told."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("NOT TESTED, no systemd-analyze here: apt-get install systemd")
    path = tmp_path / "evertrain-test.service"
    path.write_text(unit_text(unit(tmp_path, command=["/not there/python"])))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "/not there/python" in done.stderr
