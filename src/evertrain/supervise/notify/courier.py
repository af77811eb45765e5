"""The threads that carry messages: one for each place, so that none waits for another.

They follow the run's journal, as anybody could; the supervisor tells them nothing and waits
for them at its end only, and then not for long.

Layer: supervise. Imports core only.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from evertrain.core import proc
from evertrain.core.clock import Clock
from evertrain.core.journal import Row
from evertrain.core.printable import printable
from evertrain.core.rundir import RunDir
from evertrain.supervise.notify.event import DEFAULT
from evertrain.supervise.notify.news import News
from evertrain.supervise.notify.outbox import Outbox
from evertrain.supervise.notify.post import Answer, post
from evertrain.supervise.notify.target import Message, Target
from evertrain.supervise.screen import Screen

# How long the end of a supervision waits for the last messages, all together.
LAST_S: Final = 2.0

_POLL_S: Final = 1.0
_TIMEOUT_S: Final = 10.0

Post = Callable[[Target, Message, float], Answer]


@dataclass(frozen=True, slots=True)
class Subscription:
    """Who wants to know what.

    Attributes:
        targets: Where to tell.
        events: What, of `event.EVENTS`.
    """

    targets: Sequence[Target]
    events: frozenset[str] = DEFAULT


class Courier:
    """Carries the news of one run to one place.

    Args:
        news: What happens.
        target: Where to tell it.
        name: What the run is called.
        screen: Where people read what could not be delivered.
        clock: Source of the time.
        send: What hands over a message.
    """

    def __init__(  # noqa: PLR0913  (all that it stands between)
        self,
        news: News,
        target: Target,
        name: str,
        *,
        screen: Screen,
        clock: Clock,
        send: Post = post,
    ) -> None:
        """Start nothing yet."""
        self.target = target
        self._news = news
        self._name = printable(name)
        self._screen = screen
        self._clock = clock
        self._send = send
        self._outbox = Outbox()
        self._is_over = threading.Event()
        self._has_ended = threading.Event()
        self._is_refused = False
        self._unrecorded: deque[Row] = deque()

    def tell(self, row: Row) -> None:
        """Take a row that no journal holds: the disk is full, and people should know."""
        self._unrecorded.append(row)

    def start(self) -> None:
        """Carry on in a thread, until told that it is over."""
        thread = threading.Thread(target=self.work, name="evertrain-notify", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread to be had
            self._has_ended.set()
            self._screen.say(f"No notifications to {self.target}: no thread to be had.", "yellow")

    def finish(self) -> None:
        """Say that nothing more will happen: what is left goes out now."""
        self._is_over.set()

    def has_ended(self, limit_s: float) -> bool:
        """Wait until the last message is out, or failed; at most `limit_s` seconds."""
        return self._clock.wait(self._has_ended, limit_s)

    def work(self) -> None:
        """Look, send, wait; to the end."""
        is_last = False
        try:
            while not is_last:
                is_last = self._clock.wait(self._is_over, _POLL_S)
                self.look()
                self.deliver(is_last=is_last)
        finally:
            self._has_ended.set()

    def look(self) -> None:
        """Take what is new."""
        notes = self._news.read()
        while self._unrecorded:
            notes += self._news.of_row(self._unrecorded.popleft())
        for note in notes:
            self._outbox.add(note, self._clock.monotonic_s())

    def deliver(self, *, is_last: bool = False) -> None:
        """Send what is due; all that there is, if this is the last time."""
        due_s = self._outbox.due_s()
        if due_s is None or self._is_refused:
            return
        if not is_last and self._clock.monotonic_s() < due_s:
            return
        notes, omitted = self._outbox.take()
        message = Message(self._name, proc.host(), notes, omitted)
        answer = self._send(self.target, message, LAST_S if is_last else _TIMEOUT_S)
        now_s, lost = self._clock.monotonic_s(), self._outbox.lost
        if not answer.problem:
            self._outbox.sent(now_s)
            return
        self._outbox.failed(now_s, answer.after_s)
        self._is_refused = answer.is_final
        if answer.is_final:
            self._say(f"{answer.problem}; no more are sent there")
        elif is_last or self._outbox.lost > lost:
            self._say(f"{answer.problem}; {len(notes) + omitted} could not be delivered")

    def _say(self, text: str) -> None:
        self._screen.say(f"Notifications to {self.target}: {text}.", "yellow")


@contextmanager
def notifying(
    subscription: Subscription, run_dir: RunDir, name: str, *, screen: Screen, clock: Clock
) -> Iterator[Callable[[Row], None]]:
    """Tell the subscribers what happens meanwhile, and the end of it.

    Gives what takes a row that the journal could not. Leaving waits at most `LAST_S`
    seconds, whatever the places and the network do.
    """
    couriers = [
        Courier(News(run_dir, subscription.events), target, name, screen=screen, clock=clock)
        for target in subscription.targets
    ]
    for each in couriers:
        each.start()

    def tell(row: Row) -> None:
        for each in couriers:
            each.tell(row)

    try:
        yield tell
    finally:
        for each in couriers:
            each.finish()
        deadline_s = clock.monotonic_s() + LAST_S
        for each in couriers:
            left_s = max(0.0, deadline_s - clock.monotonic_s())
            if not each.has_ended(left_s):
                with suppress(OSError):
                    text = f"The last one to {each.target} was not taken within {LAST_S:g} s."
                    screen.say(f"Notifications: {text}", "yellow")
