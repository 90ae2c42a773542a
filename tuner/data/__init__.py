"""Labelled sequences, from a named source or a file, to encoded splits and batches.

Must not import `run` or any room above it, nor Keras, TensorFlow, Ray or Optuna; pyarrow, pooch and platformdirs only
where they are used.
"""

from tuner.data.batches import (
    TOKENS_PER_BATCH,
    bucketed_batches,
    evaluation_batches,
    few_widths,
    pad,
)
from tuner.data.dataset import (
    PADDING,
    SPECIAL_TOKENS,
    START,
    UNKNOWN,
    Dataset,
    EncodedSequences,
    Split,
    WordVectors,
    cluster_count,
    joined,
)
from tuner.data.encoding import encode_known, text_digest, token_ids
from tuner.data.findings import Contradiction, Findings, SampleRow
from tuner.data.load import load_dataset, read_rows, text_digests
from tuner.data.sources import SOURCES, Source
from tuner.data.summary import DataSummary, Lengths, SplitBalance, summarize

__all__ = [
    "PADDING",
    "SOURCES",
    "SPECIAL_TOKENS",
    "START",
    "TOKENS_PER_BATCH",
    "UNKNOWN",
    "Contradiction",
    "DataSummary",
    "Dataset",
    "EncodedSequences",
    "Findings",
    "Lengths",
    "SampleRow",
    "Source",
    "Split",
    "SplitBalance",
    "WordVectors",
    "bucketed_batches",
    "cluster_count",
    "encode_known",
    "evaluation_batches",
    "few_widths",
    "joined",
    "load_dataset",
    "pad",
    "read_rows",
    "summarize",
    "text_digest",
    "text_digests",
    "token_ids",
]
