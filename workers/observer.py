"""What the engine tells whoever counts: boots, ends and conversations gone on with. It knows nothing of what is counted
how."""

from typing import Literal, Protocol

Kind = Literal["chat", "agent"]
# Why a process was ended: its place was needed by another job, it had done or held too much, it was not fit to go
# on, or it ended by itself.
End = Literal["needed", "worn", "unfit", "died"]
# How a job's history came into its process: there was none, it stood there, it was put in turn by turn, or a fresh
# process began with it.
History = Literal["none", "resident", "rebuilt", "taken_up"]


class Observer(Protocol):
    """Called on the event loop; must neither wait nor raise."""

    def booted(self, kind: Kind, seconds: float) -> None: ...
    def ended(self, kind: Kind, why: End) -> None: ...
    def prepared(self, kind: Kind, history: History) -> None: ...


class Unobserved:
    """Nobody counts."""

    def booted(self, kind: Kind, seconds: float) -> None:
        pass

    def ended(self, kind: Kind, why: End) -> None:
        pass

    def prepared(self, kind: Kind, history: History) -> None:
        pass


UNOBSERVED = Unobserved()
