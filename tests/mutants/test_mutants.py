"""The tests of what is durable can fail: each planted fault is found by its test."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutants", Path(__file__).with_name("mutants.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = module
    spec.loader.exec_module(module)
    return module


mutants = _load()


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda each: each.name)
def test_the_list_is_true(mutant: "mutants.Mutant") -> None:  # type: ignore[name-defined]
    """The line is there, once, and so is the test."""
    lines = (mutants.SOURCES / "evertrain" / mutant.file).read_text().splitlines()
    assert len(mutants.places_of(mutant, lines)) == 1

    file, _, name = mutant.test.partition("::")
    source = (mutants.REPOSITORY / "tests" / file).read_text()
    assert re.search(rf"^def {name}\(", source, re.MULTILINE)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda each: each.name)
def test_a_planted_fault_is_found(mutant: "mutants.Mutant") -> None:  # type: ignore[name-defined]
    """Its test fails on a copy of the sources that has the fault."""
    assert mutants.is_found(mutant)
