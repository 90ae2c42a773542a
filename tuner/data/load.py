"""From a `DataConfig` to an encoded data set: read, number the classes, cut tokens, sample, split, encode.

The result is a function of the rows' content and the settings: the order of a file's rows does not matter, not even
for the order of the sequences.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuner.data.cache import (
    Prepared,
    cache_key,
    fingerprint,
    read_entry,
    write_entry,
)
from tuner.data.cells import Rows, class_names_of, class_numbers
from tuner.data.dataset import Dataset, Split
from tuner.data.encoding import encode, tokenize
from tuner.data.findings import findings_of
from tuner.data.sources import open_source
from tuner.data.splits import (
    CODES,
    assign_groups,
    assign_splits,
    hash_keys,
    sample_rows,
    too_few,
    units_of,
)
from tuner.data.vectors import read_vectors
from tuner.errors import DataError
from tuner.files import cache_root
from tuner.settings.data import DataConfig, SplitRule
from tuner.text import excerpt

_logger = logging.getLogger(__name__)


def load_dataset(config: DataConfig, *, cache_folder: Path | None = None) -> Dataset:
    """The data set that `config` describes, from the cache if it was prepared before.

    Args:
        cache_folder: instead of `$TUNER_CACHE` or the user's cache folder.

    Raises:
        DataError: unknown, missing, unreadable, not downloadable, or too small to split; or its vectors are.
    """
    prepared = prepare(config, cache_folder=cache_folder)
    warn(config, prepared.findings.warnings)
    if config.vectors is None:
        return prepared.dataset
    vectors = read_vectors(config.vectors, prepared.dataset.vocabulary)
    return replace(prepared.dataset, vectors=vectors)


def read_rows(
    config: DataConfig, *, cache_folder: Path | None = None, earlier: DataConfig | None = None
) -> Rows:
    """The labelled rows of a source as they are, not encoded.

    Args:
        earlier: as for `open_source`.

    Raises:
        DataError: unknown, missing or unreadable.
    """
    downloads = cache_root(cache_folder) / "downloads"
    rows = open_source(config, downloads=downloads, earlier=earlier).read()
    warn(config, rows.warnings)
    return rows


def prepare(config: DataConfig, *, cache_folder: Path | None = None) -> Prepared:
    """As `load_dataset`, with the findings."""
    root = cache_root(cache_folder)
    source = open_source(config, downloads=root / "downloads")
    asked = config.model_dump_json(exclude={"source", "vectors"})
    key = cache_key(source.identity, asked)
    prepared = read_entry(root / "data", key, source.name)
    if prepared is None:
        prepared = _prepare(source.read(), source.name, config)
        write_entry(root / "data", key, prepared)
    return prepared


def warn(config: DataConfig, warnings: Sequence[str]) -> None:
    """Logs what a person should know of the source before using it."""
    for warning in warnings:
        _logger.warning("%s: %s", config.source, warning)


def text_digests(
    config: DataConfig, *, cache_folder: Path | None = None
) -> Mapping[Split, list[bytes]]:
    """The `text_digest` of every row of the data set that `load_dataset` gives, in the order of the sequences.

    Raises:
        DataError: as `load_dataset`.
    """
    texts = prepare(config, cache_folder=cache_folder).texts
    return {split: list(map(bytes, digests)) for split, digests in texts.items()}


def _prepare(rows: Rows, name: str, config: DataConfig) -> Prepared:
    class_names, labels = _numbered(rows)
    given = _given_codes(rows)
    tokenized = tokenize(rows.texts, rows.tokens)
    is_split_first = config.split_rule is not SplitRule.SAMPLED_FIRST
    keys = hash_keys(tokenized.digests, config.seed)
    row_keys = keys[tokenized.texts]

    used = np.arange(len(labels))
    if config.sample is not None and not is_split_first:
        used = sample_rows(labels.astype(np.int64) * len(CODES) + given, row_keys, config.sample)
    used = used[np.lexsort((labels[used], row_keys[used]))]  # forget the order of the file
    left_out: tuple[str, ...] = ()
    if config.leave_out_rare:
        used = _without_rare(used, tokenized.texts, labels, given, class_names, rows.where)
        kept = np.unique(labels[used])
        left_out = tuple(name for number, name in enumerate(class_names) if number not in kept)
        class_names = tuple(class_names[number] for number in kept)
        labels = np.searchsorted(kept, labels).astype(
            np.int32
        )  # of rows that are not used anything
    texts = clusters = tokenized.texts[used]
    if rows.groups is None:
        split = assign_splits(texts, labels[used], given[used], keys, class_names, rows.where)
    else:
        _, groups = np.unique(np.array(rows.groups, dtype=object)[used], return_inverse=True)
        clusters = units_of(texts, groups.astype(np.int64))
        split = assign_groups(
            clusters,
            labels[used],
            given[used],
            row_keys[used],
            class_names,
            rows.where,
            config.split_rule,
        )
    if config.sample is not None and is_split_first:
        sample_keys = hash_keys(tokenized.digests, config.seed, "sample")[texts]
        places = _sampled(labels[used], split, sample_keys, config.sample, rows.where)
        used, split, clusters = used[places], split[places], clusters[places]
    chosen = {part: used[split == code] for part, code in CODES.items()}
    vocabulary, splits = encode(tokenized, labels, chosen)
    digest = fingerprint(class_names, vocabulary, splits)
    dataset = Dataset(
        name,
        digest,
        class_names,
        vocabulary,
        splits,
        rows.tokens,
        {part: clusters[split == code] for part, code in CODES.items()},
    )
    digests = np.frombuffer(b"".join(tokenized.digests), np.uint8).reshape(-1, 16)
    return Prepared(
        dataset,
        findings_of(rows, labels, class_names, tokenized, chosen, dataset.clusters, left_out),
        {part: digests[tokenized.texts[numbers]] for part, numbers in chosen.items()},
    )


def _numbered(rows: Rows) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Class names, and the class of each row: `(n_rows,)` int32."""
    names = class_names_of(rows.labels)
    if len(names) == 1:
        raise DataError.at(
            rows.where,
            f"there must be two classes or more, got only {excerpt(names[0])} in every row; add others",
        )
    if len(names) > 2 and len(names) > len(rows.labels) / 2:
        raise DataError.at(
            rows.where,
            f"{len(names)} classes in {len(rows.labels)} rows, such as {excerpt(names[0])}: this is probably "
            "not the label's column; name it with --label-column",
        )
    return names, class_numbers(rows.labels, names, rows.where)


def _sampled(
    labels: NDArray[np.int32],
    split: NDArray[np.int8],
    keys: NDArray[np.uint64],
    size: int,
    where: str,
) -> NDArray[np.int64]:
    """`(n_sampled,)` int64, ascending: rows of every class in every split that has rows of it."""
    strata = labels.astype(np.int64) * len(CODES) + split
    needed = len(np.unique(strata))
    if size < needed:
        raise DataError.at(
            where,
            f"--sample {size} has no place for a row of every class in every split; write {needed} or more",
        )
    return np.sort(sample_rows(strata, keys, size, least=1))


def _without_rare(
    used: NDArray[np.int64],
    texts: NDArray[np.int64],
    labels: NDArray[np.int32],
    given: NDArray[np.int8],
    class_names: Sequence[str],
    where: str,
) -> NDArray[np.int64]:
    """The rows of classes that have texts enough for all splits; leaving one out can make another one rare."""
    while rare := too_few(texts[used], labels[used], given[used], len(class_names)):
        used = used[~np.isin(labels[used], rare)]
    if len(np.unique(labels[used])) < 2:
        raise DataError.at(
            where,
            "fewer than two classes have texts enough for all splits; add rows, or leave --leave-out-rare out",
        )
    return used


def _given_codes(rows: Rows) -> NDArray[np.int8]:
    """The source's own splits, `(n_rows,)` int8; all TRAIN if it has none."""
    if rows.given is None:
        return np.full(len(rows.texts), CODES[Split.TRAIN], dtype=np.int8)
    if Split.TRAIN not in rows.given:
        raise DataError.at(
            rows.where, "column 'split' has no row 'train'; mark the rows to learn from"
        )
    return np.array([CODES[split] for split in rows.given], dtype=np.int8)
