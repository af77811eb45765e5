"""What evertrain relies on in what a plugin brings: codecs, adapters, generators.

Subclass a suite, provide the fixtures, inherit the tests. Values are compared
as a checkpoint would hold them, bit for bit.

    class TestGridCodec(CodecContract):
        @pytest.fixture
        def codec(self) -> Codec:
            return GridCodec()

        @pytest.fixture
        def values(self) -> list[object]:
            return [Grid(0, 0), Grid(3, 4)]

Layer: testing. Imports checkpoint and core only.
"""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from evertrain.checkpoint.plugin import Adapter, Codec, Encoded, RngSource, Tree
from evertrain.checkpoint.tree import flatten, unflatten
from evertrain.core.errors import EvertrainError


def stored(tree: Tree) -> object:
    """Return a tree as a checkpoint holds it: equal for trees that are equal bit for bit.

    Raises:
        StateError: It cannot be stored.
    """
    flat = flatten(tree)
    arrays = {key: (raw.dtype, raw.shape, raw.data.tobytes()) for key, raw in flat.arrays.items()}
    return json.dumps(flat.skeleton, sort_keys=True), arrays


def loaded(tree: Tree) -> Tree:
    """Return what a checkpoint of a tree gives back."""
    flat = flatten(tree)
    return unflatten(json.loads(json.dumps(flat.skeleton)), flat.arrays)


def _generators() -> object:
    return random.getstate(), repr(np.random.get_state(legacy=False))  # noqa: NPY002


class CodecContract:
    """What evertrain relies on in any `Codec`."""

    @pytest.fixture
    def codec(self) -> Codec:
        """Provide the codec under test. Override it."""
        raise NotImplementedError

    @pytest.fixture
    def values(self) -> Sequence[Any]:
        """Provide values of its type, odd ones too: empty, large, not finite. Override it."""
        raise NotImplementedError

    def test_it_has_the_name_of_its_plugin(self, codec: Codec) -> None:
        """Of the form "module.type": a reader finds the plugin by the first part."""
        module, _, kind = codec.name.partition(".")
        assert module.isidentifier()
        assert kind

    def test_it_accepts_its_own_and_nothing_else(self, codec: Codec, values: Sequence[Any]) -> None:
        """What belongs to others must not be taken from them."""
        assert values
        assert all(codec.accepts(value) for value in values)
        others: tuple[Any, ...] = (None, True, 0, 0.5, "text", b"bytes", [], {}, (), object(), type)
        assert not any(codec.accepts(value) for value in others)

    def test_what_comes_back_is_what_was_taken_apart(
        self, codec: Codec, values: Sequence[Any]
    ) -> None:
        """Type for type and bit for bit, through JSON and files of arrays."""
        for value in values:
            there = codec.encode(value)
            back = codec.decode(loaded(there.meta), loaded(dict(there.children)))
            assert type(back) is type(value)
            assert _told(codec.encode(back)) == _told(there)

    def test_taking_apart_changes_nothing(self, codec: Codec, values: Sequence[Any]) -> None:
        """It gives the same twice, and draws no random number."""
        before = _generators()
        for value in values:
            assert _told(codec.encode(value)) == _told(codec.encode(value))
        assert _generators() == before

    @pytest.mark.parametrize("meta", [{}, {"": None}, {"dtype": [], "shape": "x", "sizes": -1}])
    def test_a_file_that_lies_is_refused(self, codec: Codec, meta: dict[str, Any]) -> None:
        """What is not of its own making raises an ordinary error, and nothing else happens."""
        try:
            codec.decode(meta, {})
        except (EvertrainError, ArithmeticError, LookupError, TypeError, ValueError, RuntimeError):
            return


def _told(there: Encoded) -> object:
    return stored({"meta": there.meta, "children": dict(there.children)})


class AdapterContract:
    """What evertrain relies on in any `Adapter`."""

    @pytest.fixture
    def adapter(self) -> Adapter:
        """Provide the adapter under test. Override it."""
        raise NotImplementedError

    @pytest.fixture
    def make(self) -> Callable[[], Any]:
        """Provide what builds a thing as a program does at its start. Override it."""
        raise NotImplementedError

    @pytest.fixture
    def train(self) -> Callable[[Any], object]:
        """Provide what changes a thing in place, differently each time. Override it."""
        raise NotImplementedError

    @pytest.fixture
    def misfits(self) -> Sequence[Any]:
        """Provide things that the state of another one does not fit, if there are any."""
        return ()

    def test_it_accepts_its_own_and_nothing_else(
        self, adapter: Adapter, make: Callable[[], Any]
    ) -> None:
        """What belongs to others must not be taken from them."""
        assert adapter.accepts(make())
        assert not any(adapter.accepts(thing) for thing in (None, 0, "text", object(), type))

    def test_a_restored_thing_is_the_one_that_was_saved(
        self, adapter: Adapter, make: Callable[[], Any], train: Callable[[Any], object]
    ) -> None:
        """Bit for bit, also where it had been changed since, and it goes on alike."""
        old, new = make(), make()
        train(old)
        saved = loaded(adapter.capture(old))
        train(new)
        train(new)
        assert stored(adapter.capture(new)) != stored(saved), "training must change it"
        assert list(adapter.mismatches(new, saved)) == []
        adapter.restore(new, saved)
        assert stored(adapter.capture(new)) == stored(adapter.capture(old))

    def test_capturing_changes_nothing(
        self, adapter: Adapter, make: Callable[[], Any], train: Callable[[Any], object]
    ) -> None:
        """It gives the same twice, and draws no random number."""
        thing = make()
        train(thing)
        before = _generators()
        first = stored(adapter.capture(thing))
        assert stored(adapter.capture(thing)) == first
        assert _generators() == before

    def test_looking_changes_nothing(
        self, adapter: Adapter, make: Callable[[], Any], train: Callable[[Any], object]
    ) -> None:
        """Neither the thing nor the tree: a resume that is refused has done nothing."""
        old, new = make(), make()
        train(old)
        saved = loaded(adapter.capture(old))
        here, there = stored(adapter.capture(new)), stored(saved)
        adapter.mismatches(new, saved)
        assert stored(adapter.capture(new)) == here
        assert stored(saved) == there

    def test_what_does_not_fit_is_named(
        self, adapter: Adapter, make: Callable[[], Any], misfits: Sequence[Any]
    ) -> None:
        """Each with a reason, in both directions."""
        for other in misfits:
            for one, two in ((make(), other), (other, make())):
                found = adapter.mismatches(one, loaded(adapter.capture(two)))
                assert found
                assert all(each.problem for each in found)


class RngContract:
    """What evertrain relies on in any `RngSource`."""

    @pytest.fixture
    def source(self) -> RngSource:
        """Provide the source under test. Override it."""
        raise NotImplementedError

    @pytest.fixture
    def draw(self) -> Callable[[], object]:
        """Provide what draws a number from it. Override it."""
        raise NotImplementedError

    def test_a_seed_decides_all(self, source: RngSource, draw: Callable[[], object]) -> None:
        """The same one gives the same numbers, the smallest and the largest included."""
        found = {}
        for seed in (0, 1, 2**32 - 1):
            runs = []
            for _ in range(2):
                source.seed(seed)
                runs.append([draw() for _ in range(4)])
            assert runs[0] == runs[1]
            found[seed] = str(runs[0])
        assert len(set(found.values())) == len(found)

    def test_it_goes_on_where_it_was(self, source: RngSource, draw: Callable[[], object]) -> None:
        """Restored from a checkpoint, it draws what it would have drawn."""
        source.seed(5)
        draw()
        saved = loaded(source.capture())
        wanted = [draw() for _ in range(4)]
        source.restore(saved)
        assert [draw() for _ in range(4)] == wanted

    def test_capturing_draws_nothing(self, source: RngSource) -> None:
        """The state is the same before and after."""
        source.seed(5)
        assert stored(source.capture()) == stored(source.capture())
