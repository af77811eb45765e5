"""The rows of the matrix: what befalls a training, and how that is to be named."""

from dataclasses import dataclass
from typing import Final

# A training with two children: one waits, one is deaf to every polite signal and fled into a
# session of its own. It dies at its n-th SIGINT, or at once if that is 0.
TRAINING: Final = """
    import os, resource, signal, subprocess, sys, time
    limit, asked = int(sys.argv[1]), []
    signal.signal(signal.SIGINT, lambda *_: asked.append(1))
    nap = "import time; time.sleep(300)"
    deaf = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; "
    def start(code, **more):
        return subprocess.Popen([sys.executable, "-S", "-c", code], **more)
    start(nap)
    ready = subprocess.PIPE
    start(deaf + "print(1, flush=True); time.sleep(300)", stdout=ready,
          start_new_session=True).stdout.readline()
"""
WAIT: Final = """
    print("TRAINING", flush=True)
    while len(asked) < limit:
        time.sleep(0.02)
"""
SAVE: Final = """
    open("saved", "w").write(f"{len(asked)} SIGINT")
    sys.exit(75 if limit else 3)
"""


@dataclass(frozen=True, slots=True)
class Misfortune:
    """One row.

    Attributes:
        name: Of the row.
        dies: What it does at the end.
        begins: What it does at the start.
        kind: How its crash is named.
        says: What the post-mortem of its crash says, too.
        saves: Whether it ends as it should when it is asked to.
        on_terminal: Whether it is run on a terminal.
    """

    name: str
    dies: str = SAVE
    begins: str = ""
    kind: str = "exit"
    says: str = ""
    saves: bool = False
    on_terminal: bool = False

    @property
    def script(self) -> tuple[str, ...]:
        """The program."""
        return TRAINING, self.begins, WAIT, self.dies


MISFORTUNES: Final = (
    Misfortune("exit", "    os._exit(3)", says="3"),
    Misfortune(
        "exception",
        "    raise RuntimeError('the simulator is gone')",
        kind="exception",
        says="the simulator is gone",
    ),
    Misfortune(
        "SIGSEGV",
        "    os.kill(os.getpid(), signal.SIGSEGV)",
        kind="native crash",
        says="SIGSEGV",
    ),
    Misfortune(
        "SIGKILL", "    os.kill(os.getpid(), signal.SIGKILL)", kind="signal", says="SIGKILL"
    ),
    Misfortune(
        "OOM",
        """
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        hoard = bytearray(4 << 30)
        """,
        kind="memory error",
        says="MemoryError",
    ),
    Misfortune(
        "hang in C",
        """
        import re
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        re.match(r"(a+)+$", "a" * 60 + "b")
        """,
        kind="hang",
        says="hang",
    ),
    Misfortune("stopped child", begins="    os.kill(start(nap).pid, signal.SIGSTOP)", saves=True),
    Misfortune(
        "double-forked child",
        begins="""
    start(f"import subprocess, sys; subprocess.Popen([sys.executable, '-S', '-c', {nap!r}], "
          "start_new_session=True)", start_new_session=True).wait()
        """,
        saves=True,
    ),
    Misfortune(
        "child that holds the terminal",
        begins="""
    held = "open('/dev/tty', 'r+b', 0).write(b'held\\\\n'); "
    subprocess.Popen([sys.executable, "-S", "-c", deaf + held + "time.sleep(300)"])
    time.sleep(0.3)
        """,
        saves=True,
        on_terminal=True,
    ),
)
