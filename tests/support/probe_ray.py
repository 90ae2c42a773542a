"""A stand-in for Ray whose probes of GPUs answer at once."""

from types import SimpleNamespace
from typing import Any


class AnsweringRay:
    """Keeps what the probes asked Ray for."""

    exceptions = SimpleNamespace(RayError=RuntimeError, RayTaskError=KeyError)

    def __init__(self, answer: object, *nodes: dict[str, float], deaths: int = 0) -> None:
        """Args:
        nodes: the probes are on the last one.
        deaths: so many probes die with their node before one answers.
        """
        self._answer = answer
        self._nodes = nodes
        self._deaths_left = deaths
        self.asked: list[dict[str, Any]] = []

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"Alive": True, "NodeID": f"node {number}", "Resources": node}
            for number, node in enumerate(self._nodes)
        ]

    def remote(self, **options: Any) -> Any:
        self.asked.append(options)
        last = "host", f"node {len(self._nodes) - 1}"

        class Actor:
            place = SimpleNamespace(remote=lambda: last)
            measure = SimpleNamespace(remote=lambda _: object())

        return lambda probe: SimpleNamespace(remote=Actor)

    def wait(self, references: list[object], timeout: float) -> tuple[list[object], list[object]]:
        return references, []

    def get(self, reference: object) -> object:
        if self._deaths_left:
            self._deaths_left -= 1
            raise RuntimeError("The actor died because its node has died.")
        return reference if isinstance(reference, tuple) else self._answer

    def kill(self, actor: object) -> None:
        pass
