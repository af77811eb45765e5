"""Columns of a report."""

from evertrain.recipes.table import aligned

ROWS = [("part", "policy", "profit"), ("test", "buy and hold", "1,000.00"), ("validation", "", "")]


def test_columns_stand_to_the_left() -> None:
    """Two spaces apart, and none at a line's end."""
    assert aligned(ROWS).splitlines() == [
        "part        policy        profit",
        "test        buy and hold  1,000.00",
        "validation",
    ]


def test_numbers_stand_to_the_right() -> None:
    """Behind the names."""
    assert aligned(ROWS[:2], names=2).splitlines() == [
        "part  policy          profit",
        "test  buy and hold  1,000.00",
    ]
