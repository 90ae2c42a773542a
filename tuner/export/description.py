"""`model.json`: everything that predicting needs besides the weights. Must not import Keras.

A model folder may come from anybody. Its entries name files in the folder; none of them is run.
"""

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tuner.data import SPECIAL_TOKENS
from tuner.errors import RunFolderError
from tuner.export.tokens_in_words import ID_RULE, TOKEN_RULES
from tuner.settings.data import TokenMode
from tuner.text import one_line
from tuner.training.own_modules import is_module_name
from tuner.training.threshold import EVEN

FORMAT = 1
DESCRIPTION = "model.json"
MEMBER = re.compile(r"member-\d+\.(keras|savedmodel|onnx)")  # the names of a model's files
_LARGEST_DESCRIPTION = 2**26  # bytes; a vocabulary of a million words takes a quarter of it
_MOST_MEMBERS = 1000
_UNPACKED_TIMES = 10


@dataclass(frozen=True)
class MemberEntry:
    """One of the models whose probabilities are averaged, as `model.json` describes it."""

    file: str  # beside the description
    trial: int | None  # of the search; None where there was none
    seed: int
    max_length: int  # last tokens that it reads
    vocabulary_size: int  # ids that it knows
    module: str | None = None  # of a person's own architecture: may define layers
    weight: float = 1.0  # in the average, relative to the others'; 1 in models of earlier versions
    is_reference: bool = False  # the linear reference, which is no trial


@dataclass(frozen=True)
class Description:
    """Everything that predicting needs besides the weights: the content of `model.json`."""

    run: str
    class_names: tuple[str, ...]
    token_mode: TokenMode
    vocabulary: tuple[str, ...]  # the name of token i; the first three are special
    members: tuple[MemberEntry, ...]
    temperature: float = 1.0  # of the members' mean probabilities; 1 in models of earlier versions
    threshold: float = EVEN  # of two classes, see `classes_of`; 0.5 in models of earlier versions
    # Rows that it learned from, where these are all of its run: nothing there can measure it. Else None.
    all_rows: int | None = None
    # That was asked for when it learned. None where it was found by its name, and in models of earlier versions.
    text_column: str | None = None

    def to_json(self) -> str:
        """The text of `model.json`."""
        content = {
            "format": FORMAT,
            **asdict(self),
            # For people who write a program of their own; nothing reads them.
            "how_texts_become_tokens": TOKEN_RULES[self.token_mode],
            "how_tokens_become_ids": ID_RULE,
        }
        return json.dumps(content, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, where: str) -> "Description":
        """The inverse of `to_json`.

        Raises:
            RunFolderError: it is something else.
        """
        try:
            content = json.loads(text)
            if content.pop("format") != FORMAT:
                raise ValueError("made by another version of tuner")
            members = tuple(MemberEntry(**member) for member in content.pop("members"))
            description = cls(
                run=str(content["run"]),
                class_names=tuple(content["class_names"]),
                token_mode=TokenMode(content["token_mode"]),
                vocabulary=tuple(content["vocabulary"]),
                members=members,
                temperature=float(content.get("temperature", 1.0)),
                threshold=float(content.get("threshold", EVEN)),
                all_rows=content.get("all_rows"),
                text_column=content.get("text_column"),
            )
            description._check(content)
            return description
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as cause:
            raise RunFolderError(
                f"{where}: no exported model of this version of tuner ({one_line(str(cause))})"
            ) from cause

    def _check(self, content: Mapping[str, object]) -> None:
        """Refuses content that `to_json` would not write."""
        for name, fewest in (("class_names", 2), ("vocabulary", len(SPECIAL_TOKENS))):
            given = content[name]
            if not isinstance(given, list) or len(given) < fewest:
                raise ValueError(f"{name} must be a list of {fewest} or more")
            if not all(isinstance(each, str) for each in given):
                raise ValueError(f"{name} must be texts")
        if not 0.01 <= self.temperature <= 100:  # NaN, too
            raise ValueError(f"temperature must be between 0.01 and 100, got {self.temperature}")
        if not 0 < self.threshold < 1 or (self.threshold != EVEN and len(self.class_names) != 2):
            raise ValueError(
                f"threshold must be between 0 and 1, and of two classes, got {self.threshold}"
            )
        if self.all_rows is not None and not (type(self.all_rows) is int and self.all_rows > 0):
            raise ValueError("all_rows must be a number of rows")
        if not isinstance(self.text_column, str | None):
            raise ValueError("text_column must be a column's name")
        sizes = [(each.max_length, each.vocabulary_size) for each in self.members]
        if not sizes or not all(type(n) is int and n > 0 for pair in sizes for n in pair):
            raise ValueError("members must have a max_length and a vocabulary_size")
        if len(self.members) > _MOST_MEMBERS:
            raise ValueError(
                f"{len(self.members):,} members; an export has {_MOST_MEMBERS:,} at most"
            )
        for member in self.members:
            if type(member.weight) is not float or not 0.001 <= member.weight <= 1000:  # NaN, too
                raise ValueError("a member's weight must be a number between 0.001 and 1000")
            if not isinstance(member.is_reference, bool):
                raise ValueError("is_reference must be true or false")
            if not isinstance(member.file, str) or MEMBER.fullmatch(member.file) is None:
                raise ValueError("a member's file must be named like member-1.keras")
            if member.module is not None and not (
                isinstance(member.module, str) and is_module_name(member.module)
            ):
                raise ValueError("a member's module must be a module's name")


def read_description(folder: Path) -> Description:
    """The description in a folder that `tuner export` made.

    Raises:
        RunFolderError: there is none, or it is damaged.
    """
    path = folder / DESCRIPTION
    if folder.is_file() and (folder.parent / DESCRIPTION).is_file():
        raise RunFolderError(
            f"{folder}: must be a model's folder, got a file; write {folder.parent}"
        )
    if not path.is_file():  # nor a pipe, which would never end
        inside = folder / "model"
        remedy = "`tuner export` makes one"
        if (inside / DESCRIPTION).is_file():  # a run folder was named
            remedy = f"write {inside}"
        raise RunFolderError(f"{folder}: no exported model (no {DESCRIPTION} in it); {remedy}")
    _check_inside(path, folder)
    try:
        if path.stat().st_size > _LARGEST_DESCRIPTION:
            raise ValueError(f"{path.stat().st_size:,} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as cause:  # of UTF-8, too
        raise RunFolderError(
            f"{path}: no exported model of this version of tuner ({one_line(str(cause))})"
        ) from cause
    return Description.from_json(text, str(path))


def check_member(file: Path, folder: Path) -> None:
    """Refuses what no export writes: a link to elsewhere, or an archive that was made to fill the memory.

    Raises:
        RunFolderError: `file` is one.
    """
    _check_inside(file, folder)
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(each.file_size for each in archive.infolist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as cause:
        raise RunFolderError(
            f"{file}: cannot be loaded ({one_line(str(cause))}); export it again"
        ) from cause
    if unpacked > _UNPACKED_TIMES * file.stat().st_size:  # Keras compresses nothing
        raise RunFolderError(
            f"{file}: would unpack into {unpacked:,} bytes, which no model file does; export it again"
        )


def _check_inside(file: Path, folder: Path) -> None:
    """Refuses a link to a file elsewhere."""
    if not file.resolve().is_relative_to(folder.resolve()):
        raise RunFolderError(f"{file}: is a link to a file outside the folder; put the file there")
