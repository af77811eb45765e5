"""The generators of spaces, and of all the spaces in them."""

from copy import deepcopy
from typing import Any

import pytest
from gymnasium import spaces

from evertrain.integrations.envs.attributes import put_space, take_space

ONE = spaces.Discrete(1000)
MADE = [
    ONE,
    spaces.Tuple([ONE, spaces.Box(-1, 1)]),
    spaces.Dict(a=ONE, b=spaces.Tuple([ONE])),
    spaces.OneOf([ONE, spaces.Discrete(9)]),
    spaces.Sequence(ONE),
    spaces.Sequence(spaces.Dict(a=ONE)),
    spaces.Graph(spaces.Box(-1, 1, (2,)), spaces.Discrete(5)),
    spaces.Graph(spaces.Box(-1, 1, (2,)), None),
]


@pytest.mark.parametrize("made", MADE, ids=lambda each: type(each).__name__)
def test_the_generators_of_all_its_parts_come_back(made: Any) -> None:
    """What is drawn next is what would have been."""
    space = deepcopy(made)
    space.seed(1)
    space.sample()
    stored = deepcopy(take_space(space))
    other = deepcopy(made)
    other.seed(77)
    put_space(other, stored)
    assert [repr(other.sample()) for _ in range(5)] == [repr(space.sample()) for _ in range(5)]
