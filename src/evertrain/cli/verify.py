"""`evertrain verify RUN`: prove that a run can be resumed.

Layer: cli.
"""

import click

from evertrain.checkpoint.store import Store
from evertrain.checkpoint.verify import Fault
from evertrain.cli.render import clean, json_option, print_json
from evertrain.cli.target import checkpoint_of, parse_target
from evertrain.core.errors import EXIT_CORRUPT, EXIT_OK, NotFoundError


@click.command(epilog="Example: evertrain verify runs/trading@latest")
@click.argument("target", metavar="RUN[@CHECKPOINT]")
@json_option
def verify(*, target: str, as_json: bool) -> int:
    """Prove that a run can be resumed.

    Reads every byte of every checkpoint (or of the one named) and compares it
    with the digest that was stored with it. Exits with 12 if anything differs.
    """
    named = parse_target(target)
    store = Store(named.run_dir.checkpoints)
    step = None if named.which is None else checkpoint_of(named).step
    faults = store.verify(step)
    checked = [step] if step is not None else [each.step for each in store.list()]
    if not checked and not faults:
        raise NotFoundError(
            f"{named.run_dir.path} has no checkpoint.",
            "there is nothing to verify, and nothing to resume from.",
            f"Look at: evertrain status {named.run_dir.path}",
        )
    damaged = {each.step for each in faults}
    whole = [each for each in checked if each not in damaged]
    if as_json:
        rows = [{"step": f.step, "path": str(f.path), "problem": f.problem} for f in faults]
        print_json(
            {"ok": not faults, "run": str(named.run_dir.path), "whole": whole, "faults": rows}
        )
    else:
        _print(faults, whole)
    return EXIT_CORRUPT if faults else EXIT_OK


def _print(faults: list[Fault], whole: list[int]) -> None:
    for fault in faults:
        print(clean(f"{fault.path}: {fault.problem}"))
    count = f"{len(whole)} checkpoint{'' if len(whole) == 1 else 's'}"
    newest = f", newest {whole[-1]}" if whole else ""
    if not faults:
        print(f"ok: {count} whole{newest}")
        return
    print(f"{len(faults)} fault{'' if len(faults) == 1 else 's'}; {count} whole{newest}")
    print("A resume sets a damaged checkpoint aside and takes the newest whole one.")
