"""Prepared data sets on disk: arrays as npz without pickles, the rest as JSON, one checksum over both.

An entry that is missing, damaged or of another version is None, never an error: it can be made again.
"""

import hashlib
import io
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.data.dataset import Dataset, EncodedSequences, Split
from tuner.data.findings import Findings
from tuner.files import write_atomically, write_bytes_atomically
from tuner.settings.data import TokenMode

VERSION = 6  # raise it whenever the same source would be encoded differently
_ARRAYS = ("tokens", "offsets", "labels")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A data set with its findings.

    Attributes:
        texts: for each split `(n_sequences, 16)` uint8, from `text_digest`: which texts it holds.
    """

    dataset: Dataset
    findings: Findings
    texts: Mapping[Split, NDArray[np.uint8]]


def cache_key(*parts: object) -> str:
    """A file name that follows from `parts`."""
    return hashlib.sha256(json.dumps([VERSION, *map(str, parts)]).encode()).hexdigest()[:32]


def read_entry(folder: Path, key: str, name: str) -> Prepared | None:
    """The entry `key`, its data set called `name`; None if it is not there or not intact."""
    try:
        arrays = (folder / f"{key}.npz").read_bytes()
        notes = json.loads((folder / f"{key}.json").read_bytes())
        if notes.pop("checksum") != _checksum(arrays, notes):
            return None
    except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError):
        return None
    return _prepared(arrays, notes, name)


def write_entry(folder: Path, key: str, prepared: Prepared) -> None:
    """Writes the entry; a folder that cannot be written to costs time on the next load, nothing else."""
    dataset = prepared.dataset
    buffer = io.BytesIO()
    arrays: dict[str, Any] = _named_arrays(dataset.splits)
    arrays |= {f"{split}_texts": prepared.texts[split] for split in Split}
    arrays |= {f"{split}_clusters": dataset.clusters[split] for split in Split}
    np.savez(buffer, **arrays)
    notes: dict[str, Any] = {
        "fingerprint": dataset.fingerprint,
        "class_names": dataset.class_names,
        "vocabulary": dataset.vocabulary,
        "token_mode": dataset.token_mode,
        "findings": asdict(prepared.findings),
    }
    notes["checksum"] = _checksum(buffer.getvalue(), notes)
    try:
        write_bytes_atomically(folder / f"{key}.npz", buffer.getvalue())
        write_atomically(folder / f"{key}.json", json.dumps(notes))
    except OSError as error:
        _logger.warning("the data cache %s cannot be written: %s", folder, error)


def fingerprint(
    class_names: tuple[str, ...],
    vocabulary: tuple[str, ...],
    splits: Mapping[Split, EncodedSequences],
) -> str:
    """SHA-256 in hex of everything that a model can see of a data set."""
    digest = hashlib.sha256(json.dumps([class_names, vocabulary]).encode())
    for name, values in _named_arrays(splits).items():
        digest.update(f"{name} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def _named_arrays(splits: Mapping[Split, EncodedSequences]) -> dict[str, NDArray[Any]]:
    return {
        f"{split}_{array}": getattr(splits[split], array) for split in Split for array in _ARRAYS
    }


def _prepared(arrays: bytes, notes: dict[str, Any], name: str) -> Prepared:
    with np.load(io.BytesIO(arrays), allow_pickle=False) as stored:
        splits = {
            split: EncodedSequences(*(stored[f"{split}_{array}"] for array in _ARRAYS))
            for split in Split
        }
        texts = {split: stored[f"{split}_texts"] for split in Split}
        clusters = {split: stored[f"{split}_clusters"] for split in Split}
    dataset = Dataset(
        name,
        notes["fingerprint"],
        tuple(notes["class_names"]),
        tuple(notes["vocabulary"]),
        splits,
        TokenMode(notes["token_mode"]),
        clusters,
    )
    return Prepared(dataset, Findings.from_notes(notes["findings"]), texts)


def _checksum(arrays: bytes, notes: dict[str, Any]) -> str:
    digest = hashlib.sha256(arrays)
    digest.update(json.dumps(notes, sort_keys=True).encode())
    return digest.hexdigest()
