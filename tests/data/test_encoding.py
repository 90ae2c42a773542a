"""Vocabulary and ids: by frequency in the training split, the same text always the same ids."""

import pickle
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.data import START, UNKNOWN, Split, load_dataset, text_digest, text_digests
from tuner.data.encoding import encode, tokenize
from tuner.settings.data import DataConfig, TokenMode

WriteCsv = Callable[..., str]


def _rows(**rows: list[int]) -> dict[Split, np.ndarray]:
    return {split: np.array(rows.get(split.value, []), dtype=np.int64) for split in Split}


def test_ids_follow_frequency_in_the_training_rows_and_ties_the_alphabet() -> None:
    texts = ["b a c c", "a b c", "test test test test a", ""]
    tokenized = tokenize(texts, TokenMode.WORDS)
    labels = np.array([1, 0, 1, 0], dtype=np.int32)
    vocabulary, splits = encode(tokenized, labels, _rows(train=[1, 0], test=[2, 3]))
    assert vocabulary[3:] == ("c", "a", "b")
    train, test = splits[Split.TRAIN], splits[Split.TEST]
    assert train.tokens.tolist() == [START, 4, 5, 3, START, 5, 4, 3, 3]
    assert (train.offsets.tolist(), train.labels.tolist()) == ([0, 4, 9], [0, 1])
    assert test.tokens.tolist() == [START, *[UNKNOWN] * 4, 4, START]
    assert test.lengths.tolist() == [6, 1]


def test_texts_are_the_same_by_their_words_not_by_words_that_are_unknown(
    write_csv: WriteCsv,
) -> None:
    rows = [(f"disk failed on node {number}", str(number % 2)) for number in range(40)]
    config = DataConfig(source=write_csv(rows))
    for _ in range(2):  # prepared, and from the cache
        texts = text_digests(config)
        held = frozenset[bytes]().union(*texts.values())
        assert {split: len(each) for split, each in texts.items()} == {
            Split.TRAIN: 28, Split.VALIDATION: 4, Split.CONFIRMATION: 4, Split.TEST: 4
        }  # fmt: skip
        assert text_digest(["disk", "failed", "on", "node", "3"]) in held
        assert text_digest(["disk", "failed", "on", "node", "5000"]) not in held


@given(texts=st.lists(st.text("ab c", max_size=8), min_size=1), data=st.data())
def test_encoding_can_be_read_back(texts: list[str], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(texts))))
    labels = np.arange(len(texts), dtype=np.int32)
    vocabulary, splits = encode(tokenize(texts, TokenMode.WORDS), labels, _rows(train=list(order)))
    train = splits[Split.TRAIN]
    read = [
        [vocabulary[t] for t in train.tokens[a:b]]
        for a, b in zip(train.offsets, train.offsets[1:], strict=False)
    ]
    assert read == [["[START]", *texts[row].split()] for row in order]
    assert train.labels.tolist() == list(order)
    frequencies = Counter(" ".join(texts).split())
    assert [frequencies[token] for token in vocabulary[3:]] == sorted(
        frequencies.values(), reverse=True
    )


def test_texts_with_the_same_tokens_are_one_text() -> None:
    tokenized = tokenize(["Good film!", "good film", "film good", "goodfilm"], TokenMode.WORDS)
    assert tokenized.texts.tolist() == [0, 0, 1, 2]


def test_an_empty_text_is_just_start(
    write_csv: WriteCsv, forty_rows: list[tuple[str, str]]
) -> None:
    dataset = load_dataset(DataConfig(source=write_csv([*forty_rows, ("...", "pos")])))
    lengths = np.concatenate([part.lengths for part in dataset.splits.values()])
    assert Counter(lengths.tolist()) == {3: 40, 1: 1}


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("10", "9"), ("9", "10")),
        (("-1", "1"), ("-1", "1")),
        (("NA", "None"), ("NA", "None")),
        (("7", "b"), ("7", "b")),
        (("true", "false"), ("false", "true")),
        (("+-1", "1"), ("+-1", "1")),
    ],
)
def test_labels_are_sorted_and_their_names_kept(
    write_csv: WriteCsv, labels: tuple[str, str], names: tuple[str, str]
) -> None:
    rows = [(f"w{i} {label}", label) for i in range(8) for label in labels]
    source = write_csv(rows)
    dataset = load_dataset(DataConfig(source=source, tokens=TokenMode.SYMBOLS))
    assert dataset.class_names == names
    train = dataset.splits[Split.TRAIN]
    last = [dataset.vocabulary[train.tokens[end - 1]] for end in train.offsets[1:]]
    assert last == [names[label] for label in train.labels]


def test_characters_serve_chinese(write_csv: WriteCsv) -> None:
    rows = [(f"很好{chr(0x4E00 + i)}", "好") for i in range(6)] + [
        (f"太差{chr(0x4E00 + i)}", "差") for i in range(6)
    ]
    config = DataConfig(source=write_csv(rows), tokens=TokenMode.CHARACTERS)
    dataset = load_dataset(config)
    assert {"很", "好", "太", "差"} <= set(dataset.vocabulary)
    assert (dataset.splits[Split.TRAIN].lengths == 4).all()


def test_a_data_set_travels_to_other_processes(
    write_csv: WriteCsv, forty_rows: list[tuple[str, str]]
) -> None:
    dataset = load_dataset(DataConfig(source=write_csv(forty_rows)))
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.fingerprint == dataset.fingerprint
    assert (copy.splits[Split.TRAIN].tokens == dataset.splits[Split.TRAIN].tokens).all()
