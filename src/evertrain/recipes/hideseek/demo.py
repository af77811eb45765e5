"""`python -m evertrain.recipes.hideseek.demo RUN@best`: watch a checkpoint's policies play.

Layer: recipes. Imports its siblings, integrations, run, checkpoint and core.
"""

import io
import logging
import sys
from pathlib import Path
from typing import Any, Final

import click

from evertrain.core.errors import EvertrainError, UsageError
from evertrain.core.fs import LOCAL_FS, Fs, write_atomic
from evertrain.core.rundir import open_run_dir, read_identity
from evertrain.integrations.policy import load_policy
from evertrain.recipes.hideseek.card import target
from evertrain.recipes.hideseek.config import HideSeekConfig
from evertrain.recipes.hideseek.env import HIDER, ROLES, SEEKER, HideAndSeek
from evertrain.recipes.hideseek.play import Policy, play_round

RECIPE: Final = "hideseek"
_FRAME_MS: Final = 100  # a step of the game is 0.1 s
_SIDE: Final = 350  # pixels


def demo(
    source: str, *, episodes: int = 5, seed: int = 0, out: Path | None = None, fs: Fs = LOCAL_FS
) -> list[dict[str, float]]:
    """Let the policies of a checkpoint play, without exploring.

    Args:
        source: RUN, RUN@best, RUN@STEP, or a checkpoint of the folder for other programs.
        episodes: Games, 1 or more.
        seed: Seed of their starts.
        out: GIF of all of them, or None.
        fs: Disk to write to.

    Returns:
        What each game came to: `seeker`, `hider` (return of one agent), `all`, `caught`, `steps`.

    Raises:
        NotFoundError: There is no such run or checkpoint.
        UsageError: It is a run of something else, or of none.
        CorruptError: It is damaged.

    Durability:
        As `write_atomic`: nobody ever sees half a film.
    """
    source = target(source)
    config = _config_of(source)
    logging.getLogger("ray._common.deprecation").setLevel(logging.ERROR)  # of its own classes
    policies: dict[str, Policy] = {
        role: load_policy(source, policy_id=role).predict for role in ROLES
    }
    mode = {} if out is None else {"render_mode": "rgb_array"}
    field = HideAndSeek({**config.game.model_dump(), **mode})
    frames: list[Any] = []
    found: list[dict[str, float]] = []

    def watch() -> None:
        if out is not None:
            frames.append(field.render())

    for index in range(episodes):
        found += play_round(policies, [field], [seed + index], watch)
    field.close()
    if out is not None:
        write_atomic(out, _film(frames), fs=fs)
    return found


def _config_of(source: str) -> HideSeekConfig:
    run_dir = open_run_dir(source.partition("@")[0])
    identity = read_identity(run_dir)
    recipe = None if identity is None else identity.recipe
    if identity is None or recipe != RECIPE:
        raise UsageError(
            f"{run_dir.path} is a run of {recipe or 'no recipe'}.",
            "only policies that have learned this game can play it.",
            "Name a run of: evertrain train hideseek",
        )
    return HideSeekConfig.model_validate(identity.config)


def _film(frames: list[Any]) -> bytes:
    """Return pictures, uint8, shape (height, width, 3) each, as a GIF."""
    from PIL import Image

    pictures = [Image.fromarray(each).resize((_SIDE, _SIDE)).quantize(16) for each in frames]
    film = io.BytesIO()
    pictures[0].save(
        film, "GIF", save_all=True, append_images=pictures[1:], duration=_FRAME_MS, loop=0
    )
    return film.getvalue()


@click.command(epilog="Example: python -m evertrain.recipes.hideseek.demo hideseek@best")
@click.argument("source", metavar="RUN[@CHECKPOINT] | PATH")
@click.option("--episodes", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=0, show_default=True, type=int, help="Of the starts.")
@click.option("--out", type=click.Path(path_type=Path), help="GIF to write.")
def main(*, source: str, episodes: int, seed: int, out: Path | None) -> None:
    """Let the policies of RUN's checkpoint play, and say what they won."""
    found = demo(source, episodes=episodes, seed=seed, out=out)
    for number, game in enumerate(found, start=1):
        print(
            f"Episode {number}: seeker reward {game['seeker']:.1f},"
            f" hider reward {game['hider']:.1f}, {game['steps']:.0f} steps"
        )
    for role, name in ((SEEKER, "seeker"), (HIDER, "hider")):
        mean = sum(game[name] for game in found) / len(found)
        print(f"{role}: {mean:.1f} per episode")
    if out is not None:
        print(f"Film: {out}")


if __name__ == "__main__":
    try:
        main()
    except EvertrainError as error:
        print(f"evertrain: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
