"""The card of a model: its purpose, its data, and the commands that reproduce it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuner.data import Dataset, Split
from tuner.export.tokens_in_words import token_section
from tuner.text import code_span

_SHOWN_CLASSES = 20


@dataclass(frozen=True)
class Card:
    """The content of a card."""

    title: str
    introduction: str
    dataset: Dataset
    source: str  # of the data
    sections: Mapping[str, Sequence[str]]  # Markdown lines by heading, after the data's
    commands: Sequence[str]  # that make it again
    versions: Mapping[str, object]  # of what made it
    usage: Sequence[str] = ()  # Markdown lines on programs without tuner

    def markdown(self) -> str:
        """The card as Markdown."""
        sizes = ", ".join(f"{len(self.dataset.splits[split]):,} {split}" for split in Split)
        lines = [
            f"# {self.title}",
            "",
            self.introduction,
            "",
            "```python",
            "import tuner",
            "",
            'tuner.load_model("model").predict(["…"])',
            "```",
            "",
            *self.usage,
            "## Data",
            "",
            f"{code_span(self.source)} ({sizes}), read as {self.dataset.token_mode}, fingerprint "
            f"`{self.dataset.fingerprint[:16]}`.",
            "",
            *token_section(self.dataset),
        ]
        for heading, content in self.sections.items():
            lines += [f"## {heading}", "", *content, ""]
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        lines += ["## To make it again", "", "```sh", *self.commands, "```", ""]
        lines += [f"Versions: {versions}.", ""]
        return "\n".join(lines)


def parameter_lines(parameters: Mapping[str, object]) -> list[str]:
    """A Markdown list."""
    return [f"- {name}: {value}" for name, value in parameters.items()]


def class_list(names: Sequence[str]) -> str:
    """The classes as a sentence names them."""
    shown = [code_span(name) for name in names[:_SHOWN_CLASSES]]
    if len(names) > len(shown):
        return f"one of {len(names):,} classes, which `model.json` lists: {', '.join(shown)}, …"
    return " or ".join(shown) if len(shown) == 2 else ", ".join(shown)
