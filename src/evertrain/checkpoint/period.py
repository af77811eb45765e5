"""Times and spans as people and clocks on the wall have them.

Layer: checkpoint. Imports nothing from evertrain.
"""

from datetime import UTC, datetime, timedelta, tzinfo


def wall_clock(at_s: float, zone: tzinfo | None) -> datetime | None:
    """Return a Unix time as a clock on the wall shows it; None for one that no clock shows."""
    try:
        return datetime.fromtimestamp(at_s, tz=UTC).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        return None


def span_text(span: timedelta) -> str:
    """Return `2d12h`."""
    hours, rest = divmod(span - timedelta(span.days), timedelta(hours=1))
    parts = ((span.days, "d"), (hours, "h"), (rest.total_seconds() / 60, "m"))
    return "".join(f"{count:g}{unit}" for count, unit in parts if count)
