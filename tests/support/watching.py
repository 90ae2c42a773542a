"""Stand-ins at our seams for tests: a clock that a test moves, and a listener that remembers every event."""

from collections.abc import Callable

from tuner.run.events import Event, EventKind, SearchState


class Clock:
    """Seconds that pass only when a test lets them pass, or in a sleep."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now
        self.while_asleep: Callable[[], object] = lambda: None

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """In place of `time.sleep`."""
        self.now += seconds
        self.while_asleep()


class Recorder:
    """Remembers every event with the state of the search at that moment."""

    def __init__(self) -> None:
        self.told: list[tuple[Event, SearchState]] = []

    def on_event(self, event: Event, state: SearchState) -> None:
        self.told.append((event, state))

    @property
    def events(self) -> list[Event]:
        return [event for event, _ in self.told]

    @property
    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events]

    @property
    def state(self) -> SearchState:
        """The last one."""
        return self.told[-1][1]

    @property
    def notes(self) -> list[str | None]:
        """The texts of all notes."""
        return [event.error for event in self.events if event.kind is EventKind.NOTE]

    def states_at(self, kind: EventKind) -> list[SearchState]:
        """The state at every event of this kind."""
        return [state for event, state in self.told if event.kind is kind]
