"""Reports as text: columns that stand below each other. Pure.

Layer: recipes. Imports nothing.
"""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], *, names: int | None = None) -> str:
    """Return rows of cells as lines of text, two spaces between the columns.

    Args:
        rows: Equally many cells each; the first row is the head.
        names: How many columns stand to the left, names mostly; those behind, numbers alone,
            stand to the right. None: all stand to the left.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = len(widths) if names is None else names
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
