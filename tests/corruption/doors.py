"""The ways by which a damaged run is met, and what must be found at each."""

from pathlib import Path

from click.testing import CliRunner

from evertrain.checkpoint import Store
from evertrain.cli.main import cli
from evertrain.core.errors import EXIT_CORRUPT
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir
from power.judge import check_state
from power.program import train

UNTIL = 5


def check_verify(run_dir: RunDir, *paths: Path) -> None:
    """Look that `verify` and `evertrain verify` name exactly these files, and exit with 12."""
    found = {fault.path for fault in Store(run_dir.path).verify()}
    assert found == set(paths)
    result = CliRunner().invoke(cli, ["verify", str(run_dir.path)])
    assert result.exit_code == EXIT_CORRUPT, result.output
    for path in paths:
        assert f"{path.parent.name}/{path.name}: " in result.output


def check_resume(run_dir: RunDir, began: int, *damaged: int, name: str = "") -> None:
    """Look that a resume sets these steps aside, says why, and goes on from `began` exactly."""
    assert train(run_dir.path, UNTIL) == began
    rows = Journal(run_dir.journal).events("quarantined")
    assert [row["step"] for row in rows] == sorted(damaged, reverse=True)
    for row in rows:
        assert name in row["reason"]
        place = run_dir.path / row["path"]
        assert place.with_name(f"{place.name}.reason.json").is_file()
        assert place.is_dir()
    check_state(run_dir.path, UNTIL)
