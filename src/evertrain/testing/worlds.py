"""Every legal world that a lost power supply may leave of a disk.

Layer: testing. Imports testing only.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from typing import Final

from evertrain.testing.medium import DATA, Change, Data, Dir, File, Link, Medium, Node, put
from evertrain.testing.tree import Held, Tree

EXHAUSTIVE: Final = 2**12  # the worlds of twelve pending operations
_LEAST: Final = 2  # choices of data that each choice of names gets
_EVEN: Final = 0.5

IsUnread = Callable[[PurePath], bool]
_Walk = Iterator[tuple[str, Node, bool]]


@dataclass(frozen=True, slots=True)
class World:
    """One thing that the medium may hold after the power failed.

    Attributes:
        applied: Numbers of the unsynced changes of names that reached it.
        data: What became of the files with unsynced data, by number of the file:
            `old` is what was synced last, `partial` half of what was written
            since, `garbage` that and something else for the rest.
    """

    applied: frozenset[int]
    data: tuple[tuple[int, Data], ...]


def is_litter(path: PurePath) -> bool:
    """Say whether evertrain never reads what is at `path` again: unfinished, or thrown away."""
    is_unfinished = path.name.startswith(".") and ".tmp-" in path.name
    is_thrown_away = path.parent.name == "trash" and "-until-" not in path.name
    return is_unfinished or is_thrown_away


def _nowhere(_: PurePath) -> bool:
    return False


def survived(medium: Medium) -> World:
    """Return the world of a killed process: what was done stays done."""
    return World(frozenset(each.number for each in medium.pending), ())


def worlds(medium: Medium, is_unread: IsUnread, limit: int, seed: int) -> Iterator[World]:
    """Yield what may be left, but not what no reader could tell apart.

    Args:
        medium: The disk.
        is_unread: Says of a path that nobody reads what is there: that is chosen at
            random instead of in every combination.
        limit: If there are more worlds than that, about as many are given: the extremes,
            what a disk that keeps the order may leave, and a random choice.
        seed: Of that choice.
    """
    chance = random.Random(seed)  # noqa: S311  (a sample, no secret)
    shapes: dict[object, frozenset[int]] = {}
    for applied in _choices(medium, is_unread, limit, chance):
        shapes.setdefault(_shape(medium, applied, is_unread), applied)
    for applied in shapes.values():
        nodes = [each for each in _walk(medium, applied, is_unread) if isinstance(each[1], File)]
        states = {node.number: list(node.states()) for _, node, _ in nodes}  # type: ignore[union-attr]
        open_ones = {number: each for number, each in states.items() if len(each) > 1}
        read = {node.number for _, node, is_read in nodes if is_read}
        asked = {number: each for number, each in open_ones.items() if number in read}
        for chosen in _combinations(asked, max(_LEAST, limit // len(shapes)), chance):
            data = {number: chance.choice(each) for number, each in open_ones.items()} | chosen
            yield World(applied, tuple(sorted(data.items())))


def tree_of(medium: Medium, world: World) -> Tree:
    """Return what is left in a world."""
    data = dict(world.data)
    found: dict[str, Held | str | None] = {}
    for path, node, _ in _walk(medium, world.applied):
        if isinstance(node, File):
            found[path] = Held(node.number, node.states()[data.get(node.number, "full")])
        else:
            found[path] = node.target if isinstance(node, Link) else None
    return found


def losses(medium: Medium, world: World) -> list[str]:
    """Return, in words, what a world lacks of what was done."""
    lost = [each.what for each in medium.pending if each.number not in world.applied]
    paths = {node.number: path for path, node, _ in _walk(medium, world.applied)}
    ends = [(paths[number], data) for number, data in world.data if number in paths]
    return lost + [f"{path} is {data}" for path, data in ends if data != "full"]


def seen(tree: Tree, is_unread: IsUnread) -> object:
    """Return what a reader may see of a tree: equal for trees that are alike to him."""
    return frozenset(
        (path, None if _is_hidden(path, is_unread) else held)
        for path, held in tree.items()
        if not _is_inside_hidden(path, is_unread)
    )


@lru_cache(1 << 16)  # the same few paths are asked about in every world
def _is_hidden(path: str, is_unread: IsUnread) -> bool:
    return is_unread(PurePath(path))


@lru_cache(1 << 16)
def _is_inside_hidden(path: str, is_unread: IsUnread) -> bool:
    return any(map(is_unread, PurePath(path).parents))


def _choices(
    medium: Medium, is_unread: IsUnread, limit: int, chance: random.Random
) -> Iterator[frozenset[int]]:
    """Yield sets of changes that reached the medium, each with all that it needs."""
    read = _read_changes(medium, is_unread)
    found = list(itertools.islice(_closed(read), limit + 1))
    if len(found) > limit:
        found = _some_closed(read, limit, chance)
    pending = {each.number for each in medium.pending}
    rest = [each for each in medium.pending if each not in read]
    for chosen in found:
        applied = set(chosen)
        for each in rest:
            if each.needs & pending <= applied and chance.random() < _EVEN:
                applied.add(each.number)
        yield frozenset(applied)


def _read_changes(medium: Medium, is_unread: IsUnread) -> list[Change]:
    """Return the changes in directories that somebody may read, and what they need."""
    slots = [slot for each in medium.pending for slot in each.slots]
    known: set[int] = set()
    todo: list[tuple[PurePath, Node | None]] = [(PurePath(), medium.root)]
    while todo:
        path, node = todo.pop()
        if isinstance(node, Dir) and node.number not in known:
            known.add(node.number)
            names = [*node.durable.items(), *((n, x) for d, n, x in slots if d is node)]
            todo += [(path / name, each) for name, each in names if not is_unread(path / name)]
    read: set[int] = set()
    for each in reversed(medium.pending):
        if each.number in read or any(place.number in known for place, _, _ in each.slots):
            read |= {each.number, *each.needs}
    return [each for each in medium.pending if each.number in read]


def _shape(medium: Medium, applied: frozenset[int], is_unread: IsUnread) -> object:
    """Return what is where, as far as a reader can tell before he opens a file."""
    return frozenset(
        (path, node.number if is_read else None)
        for path, node, is_read in _walk(medium, applied, is_unread)
        if is_read or not _is_inside_hidden(path, is_unread)
    )


def _walk(medium: Medium, applied: frozenset[int], is_unread: IsUnread = _nowhere) -> _Walk:
    """Yield path, node, and whether anybody may read it."""
    names: dict[int, dict[str, Node]] = {}
    for change in medium.pending:
        if change.number in applied:
            for directory, name, node in change.slots:
                put(names.setdefault(directory.number, dict(directory.durable)), name, node)

    def below(directory: Dir, path: str, *, is_read: bool) -> _Walk:
        found = names.get(directory.number, directory.durable)
        for name, node in sorted(found.items()):
            is_open = is_read and not _is_hidden(path + name, is_unread)
            yield f"{path}{name}", node, is_open
            if isinstance(node, Dir):
                yield from below(node, f"{path}{name}/", is_read=is_open)

    return below(medium.root, "", is_read=True)


def _closed(changes: list[Change]) -> Iterator[frozenset[int]]:
    """Yield every set of changes that holds what each of its members needs."""
    numbers = {each.number for each in changes}

    def choose(index: int, chosen: frozenset[int]) -> Iterator[frozenset[int]]:
        if index == len(changes):
            yield chosen
            return
        each = changes[index]
        if each.needs & numbers <= chosen:
            yield from choose(index + 1, chosen | {each.number})
        yield from choose(index + 1, chosen)

    return choose(0, frozenset())


def _some_closed(changes: list[Change], limit: int, chance: random.Random) -> list[frozenset[int]]:
    """Return what an orderly disk leaves, each change alone and left out, and random ones."""
    known = {each.number: each for each in changes}
    order = list(known)
    found = [set(order[:count]) for count in range(len(order) + 1)]
    found += [_with_needs({number}, known) for number in order]
    found += [_without(number, known) for number in order]
    while len(found) < limit:
        share = chance.random()
        found.append(_with_needs({each for each in order if chance.random() < share}, known))
    return [frozenset(each) for each in found]


def _with_needs(chosen: set[int], known: Mapping[int, Change]) -> set[int]:
    found: set[int] = set()
    todo = list(chosen)
    while todo:
        number = todo.pop()
        if number in known and number not in found:
            found.add(number)
            todo += known[number].needs
    return found


def _without(number: int, known: Mapping[int, Change]) -> set[int]:
    lost = {number}
    for each in known.values():  # oldest first: whatever needs the lost comes later
        if each.needs & lost:
            lost.add(each.number)
    return set(known) - lost


def _combinations(
    states: Mapping[int, list[Data]], limit: int, chance: random.Random
) -> Iterator[dict[int, Data]]:
    """Yield choices of a state for each file: all, or the same for all and random ones."""
    count = 1
    for each in states.values():
        count *= len(each)
    if count <= limit:
        for chosen in itertools.product(*states.values()):
            yield dict(zip(states, chosen, strict=True))
        return
    extremes: list[dict[int, Data]] = [
        {number: data if data in each else "full" for number, each in states.items()}
        for data in DATA
    ]
    yield from chance.sample(extremes, min(limit, len(extremes)))
    for _ in range(limit - len(extremes)):
        yield {number: chance.choice(each) for number, each in states.items()}
