"""The account of a soak."""

from soak.account import Case, table


def test_every_class_has_its_row() -> None:
    """What was never injected stands there with 0, and what was lost is lost."""
    cases = [
        Case(label="kill", what="pid 1", twice_steps=10, seconds=2.0),
        Case(label="kill", what="pid 2", twice_steps=1_190, seconds=4.0, problem="no step"),
        Case(label="rot", what="bit 7", seconds=3.0),
    ]

    assert table(["kill", "rot", "hang"], cases)[2:] == [
        "| kill | 2 | 1 | 1 | 1,200 | 3.0 s |",
        "| rot | 1 | 1 | 0 | 0 | 3.0 s |",
        "| hang | 0 | 0 | 0 | 0 | 0.0 s |",
        "| all | 3 | 2 | 1 | 1,200 | 3.0 s |",
    ]
