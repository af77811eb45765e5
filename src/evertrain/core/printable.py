"""Text from files, made safe for a terminal: what it would obey is shown as a question mark.

Layer: core. Imports nothing from evertrain.
"""


def printable(text: str, keep: str = "") -> str:
    """Return `text` without control characters, but for those in `keep`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else "?" for c in text)
