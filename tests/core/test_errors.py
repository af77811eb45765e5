"""Every error has three parts and one exit code."""

import pickle

import pytest

from evertrain.core import errors

ERRORS = [
    thing
    for thing in vars(errors).values()
    if isinstance(thing, type) and issubclass(thing, errors.EvertrainError)
]


@pytest.mark.parametrize("error", ERRORS)
def test_crosses_process_boundaries(error: type[errors.EvertrainError]) -> None:
    """Every error survives pickling with its three parts."""
    copy = pickle.loads(pickle.dumps(error("what", "why", "fix")))

    assert type(copy) is error
    assert str(copy) == "what\n  why: why\n  fix: fix"


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.UsageError, ValueError),
        (errors.NotFoundError, LookupError),
        (errors.ConfigError, ValueError),
        (errors.MissingExtraError, ImportError),
    ],
)
def test_strangers_can_catch_it(error: type[Exception], builtin: type[Exception]) -> None:
    """Each class is also the builtin that a stranger would catch."""
    assert issubclass(error, builtin)


@pytest.mark.parametrize("error", ERRORS)
def test_the_drawn_tree_is_the_real_one(error: type[errors.EvertrainError]) -> None:
    """The picture in the module's docstring names each class with its exit code."""
    drawn = [line for line in (errors.__doc__ or "").splitlines() if error.__name__ in line]

    assert len(drawn) == 1
    assert str(error.exit_code) in drawn[0].split()
