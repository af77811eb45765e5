"""`evertrain export RUN[@CHECKPOINT]`: a checkpoint as a file that other programs read.

Layer: cli.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from evertrain.checkpoint.care.export import flat_arrays, read_part, write_safetensors
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.cli.disk import disk_errors
from evertrain.cli.render import clean, json_option, print_json
from evertrain.cli.target import checkpoint_of, parse_target
from evertrain.core.errors import UsageError
from evertrain.integrations.extras import require

_SUFFIX = {"safetensors": ".safetensors", "pt": ".pt", "sb3": ".zip", "rllib": ""}


@click.command(epilog="Example: evertrain export runs/ppo@best --format pt --name model.policy")
@click.argument("target", metavar="RUN[@CHECKPOINT]")
@click.option("--format", "kind", type=click.Choice(list(_SUFFIX)), default="safetensors")
@click.option("--name", help="An attached object, or a part of one; all of them without it.")
@click.option("--out", type=click.Path(path_type=Path), help="The file; it must not exist.")
@click.option(
    "--model",
    metavar="MODULE:FACTORY",
    help="For sb3, a model of classes of your own; for rllib, the algorithm: what builds it.",
)
@json_option
def export(  # noqa: PLR0913
    *, target: str, kind: str, name: str | None, out: Path | None, model: str | None, as_json: bool
) -> None:
    """Write the weights of a checkpoint for other programs.

    safetensors: its arrays, by dotted names. pt: its values, for
    torch.load(weights_only=True). sb3: the zip that PPO.load reads; a model with
    classes of your own needs --model, because a checkpoint holds none. rllib: the
    directory that Algorithm.from_checkpoint reads; it always needs --model.
    """
    named = parse_target(target)
    info = checkpoint_of(named)
    label = f"{named.run_dir.path.resolve().name}-{info.step}{f'-{name}' if name else ''}"
    place = out or Path(f"{label}{_SUFFIX[kind]}")
    with disk_errors(place):
        files = _write(kind, info, name, place, model)
    if as_json:
        print_json({"checkpoint": str(info.path), "files": [str(each) for each in files]})
    else:
        print("\n".join(clean(str(each)) for each in files))


def _write(
    kind: str, info: CheckpointInfo, name: str | None, place: Path, model: str | None
) -> list[Path]:
    if kind == "safetensors":
        write_safetensors(flat_arrays(info.path, name), place)
    elif kind == "pt":
        require("torch", extra="torch")
        from evertrain.integrations.torch.export import write_pt

        write_pt(read_part(info.path, name), place, name)
    elif kind == "rllib":
        require("ray.rllib", extra="rllib")
        from evertrain.integrations.rllib.export import write_rllib

        write_rllib(info.path, _factory(model or "")(), name, place)
    else:
        require("stable_baselines3", extra="sb3")
        from evertrain.integrations.sb3.export import write_zip

        built = None if model is None else _factory(model)()
        return write_zip(info.path, built, name, place)
    return [place]


def _factory(model: str) -> Callable[[], Any]:
    """Return the program's function that builds the model.

    Raises:
        UsageError: There is none of that name.
    """
    module, _, attribute = model.partition(":")
    if not module or not attribute:
        raise UsageError(
            f"--model {model!r} names no function.",
            "it builds the model as the training does on a fresh start.",
            "Write it as train:make_model",
        )
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Callable[[], Any] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"--model {model}: {error}.",
            "it is imported from the current directory, or from what is installed.",
            "Write it as train:make_model",
        ) from error
    finally:
        sys.path.remove(str(Path.cwd()))
    return found
