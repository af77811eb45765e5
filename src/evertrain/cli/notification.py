"""`--notify` and `--notify-on`: who is told what of a supervision.

Layer: cli. Imports supervise when there is somebody to tell, so that `--help` stays fast.
"""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from evertrain.supervise.notify.courier import Subscription

VARIABLE: Final = "EVERTRAIN_NOTIFY"

_OPTIONS: Final = (
    click.option(
        "--notify",
        multiple=True,
        metavar="URL",
        envvar=VARIABLE,
        help="Tell what happens to a webhook: of Slack, Discord, https://ntfy.sh/TOPIC, or one "
        "that takes JSON; repeatable. Better in EVERTRAIN_NOTIFY, for the URL is a secret.",
    ),
    click.option(
        "--notify-on",
        metavar="EVENTS",
        help="What to tell: crash, gave-up, hang, nan, disk, best, finished, stopped, or all; "
        "with commas.  [default: all but best and stopped]",
    ),
)


def notify_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` these two options, as one argument `subscription`."""

    @wraps(command)
    def subscribed(
        *args: Any, notify: tuple[str, ...], notify_on: str | None, **options: Any
    ) -> Any:
        return command(*args, subscription=_subscription(notify, notify_on), **options)

    for option in reversed(_OPTIONS):
        subscribed = option(subscribed)
    return subscribed


def _subscription(urls: tuple[str, ...], text: str | None) -> "Subscription | None":
    """Return who wants to know what, or None if nobody does.

    Raises:
        BadParameter: There is no such event.
        ConfigError: A URL cannot be used.
    """
    if not urls and text is None:
        return None
    from evertrain.supervise.notify.courier import Subscription
    from evertrain.supervise.notify.event import DEFAULT, EVENTS
    from evertrain.supervise.notify.target import parse_target

    wanted = DEFAULT
    if text is not None:
        names = {name.strip() for name in text.split(",")} - {""}
        wanted = frozenset(EVENTS if names == {"all"} else names)
        unknown = ", ".join(sorted(wanted - EVENTS.keys()))
        if unknown or not wanted:
            known = ", ".join(EVENTS)
            problem = f"there is no event {unknown!r}" if unknown else "it names no event"
            raise click.BadParameter(f"{problem}; there are: {known}.", param_hint="--notify-on")
    return Subscription([parse_target(each) for each in urls], wanted)
