"""What a framework brings: how to store its leaves, restore its objects, its RNGs.

A plugin is data: tuples of small objects that meet the protocols below. It is
found through the entry-point group `evertrain.plugins`, whose names are
top-level modules, and loaded only once that module is already imported, so a
run without torch never pays for torch.

Layer: checkpoint. Imports core only.
"""

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from evertrain.core.errors import MissingExtraError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint
    from pathlib import Path

    import numpy as np

GROUP: Final = "evertrain.plugins"
INFERENCE: Final = "inference"  # a part of a tree: how the thing plays without its training
_MAX_WORD: Final = 40

# A tree is made of dicts, lists, tuples, sets, deques, scalars, strings, bytes,
# arrays, dataclasses and what codecs add. It is checked when it is flattened.
Tree = Any
Meta = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class RawArray:
    """An array as the disk sees it: bytes with a dtype that safetensors knows.

    Attributes:
        dtype: Name of safetensors: "F32", "BF16", "I64", "U8", "BOOL", ...
        shape: Sizes of its dimensions; () is one number.
        data: uint8, shape (bytes,), contiguous; may share memory with its owner.
        is_own: Whether it is a copy already: nobody else will change it.
    """

    dtype: str
    shape: tuple[int, ...]
    data: "np.ndarray[Any, np.dtype[np.uint8]]"
    is_own: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """An array of which each save finds a few rows changed, such as a replay buffer.

    It is stored as the array itself, in parts of about 2 MiB that checkpoints share.

    Attributes:
        array: The array, rows first.
        written: Rows given to it so far, by an owner who writes them in order and
            starts over at the end: row `n` goes to `n % len(array)`. None if unknown.
    """

    array: Tree
    written: int | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """A leaf taken apart.

    Attributes:
        meta: JSON values: what is needed besides the children.
        children: Smaller trees, by name; `RawArray` is welcome.
    """

    meta: Meta = field(default_factory=dict)
    children: Mapping[str, Tree] = field(default_factory=dict)


class Codec(Protocol):
    """Takes one type of leaf apart and puts it together. Runs no code from a file."""

    @property
    def name(self) -> str:
        """Name in the skeleton: "module.type", where `module` is the plugin's name."""

    def accepts(self, value: object) -> bool:
        """Say whether `value` is of the type."""

    def encode(self, value: Any) -> Encoded:
        """Take `value` apart. Must not change it, nor draw random numbers."""

    def decode(self, meta: Meta, children: Mapping[str, Tree]) -> object:
        """Put a value together, equal to the one that was taken apart."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One reason why stored state does not fit the program.

    Attributes:
        path: Leaf, as "name.inner.leaf".
        problem: "missing in the checkpoint", "not in the program", "shape (3,) there, (4,) here".
        accepted: What happens where `partial` accepts it, if that says more than that the leaf
            is not restored; None if it cannot be accepted.
    """

    path: str
    problem: str
    accepted: str | None = ""

    def within(self, name: str) -> "Mismatch":
        """Return it as one of the thing called `name`."""
        return replace(self, path=f"{name}.{self.path}" if self.path else name)


class Adapter(Protocol):
    """Captures one kind of mutable object and restores it in place.

    An adapter may have more attributes:

    weights: The keys of its tree that a fresh start takes over from elsewhere (`init_from`),
        () for none of it. Without it, that is all of it.
    remember(thing): Returns a function that takes a tree and returns what in it does not fit
        `thing` as it is now; it must hold no bulk. Without it, saves are compared with `thing`.
    unfillable(thing): Returns, as mismatches, what of `thing` cannot be written to in place.
    settle(thing): Decides for the whole run how `thing` is captured, or refuses it with a
        StateError: in place of the capture by which a run that is not resumed tries what it is
        given. In a resumed run, `restore` brings what was decided.
    renewed(thing, tree): For arrays: returns `tree` as a new array where `thing` lives.
    copies: Whether `restore` copies every array that it keeps; without it, it is given a copy.
    is_data: Whether its arrays may be buffers of rows.

    A tree whose thing has learned to act may have a part `INFERENCE`: a dict of plain data with
    the plugin's name under "by", and all that its `load_policy` needs besides the weights.
    """

    def accepts(self, thing: object) -> bool:
        """Say whether this adapter knows `thing`."""

    def capture(self, thing: Any) -> Tree:
        """Return its whole state. May alias it. Must not change it, nor draw random numbers."""

    def mismatches(self, thing: Any, tree: Tree) -> Sequence[Mismatch]:
        """Return what in `tree` does not fit `thing`, with paths relative to it."""

    def restore(self, thing: Any, tree: Tree) -> None:
        """Put `tree` back into `thing`; the caller looked at `mismatches` first."""


class RngSource(Protocol):
    """One global random number generator, or a family of them."""

    @property
    def name(self) -> str:
        """Name in the checkpoint: "python", "numpy", "torch"."""

    def capture(self) -> Tree:
        """Return its state."""

    def restore(self, tree: Tree) -> None:
        """Set its state."""

    def seed(self, seed: int) -> None:
        """Start it afresh from `seed` (0 to 2**32 - 1)."""


class Describe(Protocol):
    """Says in one line what an attached object is."""

    def __call__(self, thing: object, /) -> str | None:
        """Return e.g. "7,339,053 parameters on cuda:0", or None if it does not know `thing`."""


class LoadWeights(Protocol):
    """Reads a file of weights that its framework's programs exchange. Runs no code from it."""

    def __call__(self, path: "Path", /) -> Mapping[str, Any] | None:
        """Return its arrays by name, or None if it is no file of this framework."""


class Policy(Protocol):
    """What a training has learned, ready to act."""

    def predict(self, observation: Any, *, deterministic: bool = True) -> Any:
        """Return the action for one observation, or the actions for a batch of them."""


class LoadPolicy(Protocol):
    """Builds the policy that a captured thing holds. Creates no class that it does not know."""

    def __call__(self, tree: Tree, /, *, module: Any, policy_id: str | None) -> Policy:
        """Return it; see `evertrain.load_policy` for what is given and what is raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """All that one framework brings.

    Attributes:
        codecs: For leaves of its types.
        adapters: For attached objects of its types; the first that accepts wins.
        rngs: Its global generators.
        describe: For the start-up banner.
        gathering: What `gathering` enters for it.
        load_weights: For `init_from`.
        load_policy: For what it captured with a part `INFERENCE`.
    """

    codecs: tuple[Codec, ...] = ()
    adapters: tuple[Adapter, ...] = ()
    rngs: tuple[RngSource, ...] = ()
    describe: Describe | None = None
    gathering: Callable[[], AbstractContextManager[None]] | None = None
    load_weights: LoadWeights | None = None
    load_policy: LoadPolicy | None = None


def active() -> tuple[Plugin, ...]:
    """Return the plugins whose framework this process has imported, in name order."""
    return _loaded(tuple(filter(sys.modules.__contains__, _entry_points())))


def wake(name: object) -> None:
    """Import the framework of the plugin `name`, if there is such a plugin and it can be."""
    if isinstance(name, str):
        plugin_named(name)


def plugin_named(name: str) -> Plugin | None:
    """Return the plugin of that name, importing its framework; None if there is none."""
    return _load(name) if name in _entry_points() else None


@contextmanager
def gathering() -> Iterator[None]:
    """Let the plugins copy from their devices side by side: all is there when the block ends.

    Inside it, look at no array that they return.
    """
    with ExitStack() as stack:
        for plugin in active():
            if plugin.gathering is not None:
                stack.enter_context(plugin.gathering())
        yield


def codec_named(name: str) -> Codec:
    """Return the codec that wrote a leaf, importing its framework if need be.

    Raises:
        MissingExtraError: Its framework is not installed.
    """
    top = name.partition(".")[0]
    plugin = plugin_named(top)
    for codec in plugin.codecs if plugin else ():
        if codec.name == name:
            return codec
    is_word = top.isascii() and top.replace("-", "_").isidentifier()  # it may come from anybody
    raise MissingExtraError(
        f"the checkpoint holds a {name!r:.60}, which nothing here can read.",
        f"the plugin {top!r:.60} that stores such values is not installed.",
        f"pip install 'evertrain[{top}]'" if is_word and len(top) <= _MAX_WORD else "Look at it.",
    )


@cache
def _entry_points() -> "dict[str, EntryPoint]":
    from importlib.metadata import entry_points  # slow to import, and listings never need it

    return {each.name: each for each in entry_points(group=GROUP)}


@cache  # asked for each leaf of a state
def _loaded(names: tuple[str, ...]) -> tuple[Plugin, ...]:
    found = map(_load, sorted(names))
    return tuple(plugin for plugin in found if plugin is not None)


@cache
def _load(name: str) -> Plugin | None:
    """Load one plugin. One that fails is named and skipped: it must not end a training."""
    try:
        plugin = _entry_points()[name].load()
    except Exception as error:  # noqa: BLE001  (foreign code, on the list of broad excepts)
        warnings.warn(f"evertrain skips the plugin {name!r}: {error!r}", stacklevel=2)
        return None
    return plugin if isinstance(plugin, Plugin) else None
