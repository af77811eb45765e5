"""Attributes of wrappers and learners: each object once, however many know it."""

from copy import deepcopy
from typing import Any

from evertrain.checkpoint.tree import flatten, unflatten
from evertrain.integrations.envs.attributes import put, take


class Node:
    """Something that knows others."""

    def __init__(self, value: int = 0) -> None:
        self.value = value


def linked(count: int) -> Node:
    """Return a holder of nodes that all know the same list of them."""
    holder, nodes = Node(), [Node(n) for n in range(count)]
    for each in nodes:
        each.near = nodes  # type: ignore[attr-defined]
    holder.nodes = nodes  # type: ignore[attr-defined]
    return holder


def move(old: object, new: object) -> None:
    """Put what one holds into the other, through a checkpoint's own form."""
    flat = deepcopy(flatten(take(old)))
    put(new, unflatten(flat.skeleton, flat.arrays))


def size(tree: Any) -> int:
    """Return of how many parts a tree is."""
    inner = tree.values() if isinstance(tree, dict) else tree
    return 1 + sum(map(size, inner)) if isinstance(tree, (dict, list)) else 1


def test_a_linked_structure_does_not_multiply() -> None:
    """It grows with the links, not with the ways through them."""
    small, large = (size(take(linked(count))) for count in (8, 16))
    assert large < 5 * small


def test_it_comes_back() -> None:
    """Every node is filled where the program has built it."""
    old: Any = linked(5)
    new: Any = linked(5)
    for n, each in enumerate(old.nodes):
        each.value = 10 * n
    built = list(new.nodes)
    move(old, new)
    assert new.nodes == built
    assert [each.value for each in built] == [0, 10, 20, 30, 40]
    assert built[0].near == built


def test_what_was_shared_is_shared_again() -> None:
    """Also where the fresh one has two, or none; what has no place in a list loses nothing."""
    old: Any = Node()
    one, table = Node(7), {"a": Node(8)}
    old.all = {"code": [one, table, print], "left": one, "right": one, "t": table, "u": table}
    new: Any = Node()
    new.all = {"left": Node(), "right": Node(), "t": {"a": Node()}}
    move(old, new)
    assert "all" not in take(old)  # a function among them: the program's own
    del old.all["code"]
    move(old, new)
    assert new.all["left"] is new.all["right"]
    assert new.all["t"] is new.all["u"]
    assert (new.all["left"].value, new.all["t"]["a"].value) == (7, 8)


def test_what_is_dropped_with_a_list_is_taken_elsewhere() -> None:
    """A list that holds a function is the program's own, but not what else it holds."""
    old, new = Node(), Node()
    for holder, value in ((old, 5), (new, 0)):
        inner: Any = Node()
        inner.first = [one := Node(value), print]
        inner.second = one
        inner.third = [one]
        holder.inner = inner  # type: ignore[attr-defined]
    move(old, new)
    found: Any = new
    assert found.inner.second.value == found.inner.third[0].value == 5
    assert found.inner.first[1] is print
