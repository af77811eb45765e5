"""Options that a recipe has besides those of all: other words for settings.

A guide's `--episodes 20` means `-o episodes=20`. Such a flag is put into those
words before the command line is parsed: by `train`, by `audit`, and by the recipe itself.

Layer: recipes. Imports core only.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import click

_VALUE: Final = "{}"


@dataclass(frozen=True, slots=True)
class Flag:
    """One option of a recipe.

    Attributes:
        name: As it is typed, e.g. "--episodes".
        means: The words that it stands for; "{}" in one of them is the flag's value.
        summary: One line for `--help`.
    """

    name: str
    means: tuple[str, ...]
    summary: str

    @property
    def takes_value(self) -> bool:
        """Whether a value follows it."""
        return any(_VALUE in word for word in self.means)


class FlagCommand(click.Command):
    """A command that takes a recipe's name, and then knows that recipe's flags."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words that the flags stand for."""
        known = _known()
        name = self._recipe(known, args)
        try:
            return super().parse_args(ctx, expand(known[name], args) if name is not None else args)
        except click.NoSuchOption as error:
            owners = [each for each in known if _has(known[each], error.option_name)]
            if not owners:
                raise
            msg = f"{error.message} The recipe {' and '.join(owners)} has it."
            raise click.UsageError(msg, ctx) from None

    def _recipe(self, known: Mapping[str, tuple[Flag, ...]], args: Sequence[str]) -> str | None:
        """Return the recipe that is asked for; a run may be called like another one."""
        own = (each for each in self.params if isinstance(each, click.Option) and not each.is_flag)
        before_values = {name for option in own for name in option.opts}
        before_values |= {
            flag.name for flags in known.values() for flag in flags if flag.takes_value
        }
        words = zip(("", *args), args, strict=False)
        return next((w for before, w in words if w in known and before not in before_values), None)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the recipes' flags behind the options of all."""
        super().format_options(ctx, formatter)
        for name, flags in _known().items():
            if flags:
                with formatter.section(f"Options of {name}"):
                    formatter.write_dl([(_usage(flag), flag.summary) for flag in flags])


def expand(flags: Iterable[Flag], words: Sequence[str]) -> list[str]:
    """Return `words` with each flag replaced by what it means; behind "--" nothing is.

    Raises:
        click.UsageError: A flag lacks its value, or has one that it does not take.
    """
    return list(_expanded({flag.name: flag for flag in flags}, iter(words)))


def _expanded(flags: Mapping[str, Flag], words: Iterator[str]) -> Iterator[str]:
    for word in words:
        name, is_joined, value = word.partition("=")
        flag = flags.get(name)
        if flag is None:
            yield word
            if word == "--":
                yield from words
            continue
        if is_joined and not flag.takes_value:
            raise click.UsageError(f"Option {name!r} does not take a value.")
        if flag.takes_value and not is_joined:
            value = next(words, "--")
        if flag.takes_value and (not value or value.startswith("--")):
            raise click.UsageError(f"Option {name!r} requires an argument.")
        yield from (each.replace(_VALUE, value) for each in flag.means)


def _known() -> Mapping[str, tuple[Flag, ...]]:
    from evertrain import recipes  # it imports this file

    return {name: recipes.find(name).flags for name in recipes.names()}


def _has(flags: Iterable[Flag], name: str) -> bool:
    return any(flag.name == name for flag in flags)


def _usage(flag: Flag) -> str:
    return f"{flag.name} VALUE" if flag.takes_value else flag.name
