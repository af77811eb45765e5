"""`evertrain doctor`: will a run be safe here.

Layer: cli.
"""

from pathlib import Path

import click

from evertrain.cli.checkup import Check, disk_checks, machine_checks
from evertrain.cli.render import Column, json_option, print_json, print_table
from evertrain.core.errors import EXIT_FAILED, EXIT_OK, NotFoundError
from evertrain.core.fs import LOCAL_FS


@click.command(epilog="Example: evertrain doctor runs")
@click.argument("directory", type=click.Path(path_type=Path), required=False)
@json_option
def doctor(*, directory: Path | None, as_json: bool) -> int:
    """Examine this machine and the disk of DIRECTORY.

    DIRECTORY defaults to ./runs, or here. To measure the disk, a hidden
    directory is written there and removed. Exits with 1 if something is bad.
    """
    place = directory or (Path("runs") if Path("runs").is_dir() else Path())
    if not place.is_dir():
        raise NotFoundError(
            f"there is no directory {str(place)!r}.",
            "the disk is examined where the runs will live.",
            f"Create it: mkdir -p {place}",
        )
    checks = machine_checks() + disk_checks(place, fs=LOCAL_FS)
    code = EXIT_FAILED if any(each.verdict == "bad" for each in checks) else EXIT_OK
    if as_json:
        print_json({"ok": code == EXIT_OK, "directory": str(place), "checks": _rows(checks)})
        return code
    columns = (Column("Check"), Column("Verdict"), Column("Found"))
    print_table(columns, [[each.name, each.verdict, each.found] for each in checks])
    for each in checks:
        if each.fix:
            print(f"\n{each.name}: {each.fix}")
    return code


def _rows(checks: list[Check]) -> list[dict[str, str | None]]:
    return [
        {"name": e.name, "verdict": e.verdict, "found": e.found, "fix": e.fix or None}
        for e in checks
    ]
