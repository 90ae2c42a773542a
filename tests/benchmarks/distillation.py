"""What one model learns from several: distillation (Hinton et al., 2015) against hard labels, in pairs.

    python tests/benchmarks/distillation.py --repetitions 8

Each repetition draws its rows and five members anew, from the best configurations of a recorded search. One model of
the best member's configuration then learns the same rows with the same fresh seed from other labels:

    hard         their own
    out of fold  half their own, half the mean probability of members that were trained without these rows
    both         the same, and on further rows without labels the members' mean probability

All is measured on rows that chose nothing. What is recorded in --out is not trained again.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from benchmark_io import show
from numpy.typing import NDArray
from paired_ablation import paired, texts
from replay.starters import TABLES, ranked
from replay.table import load_table

from tuner.data import EncodedSequences
from tuner.data.dataset import offsets_of
from tuner.files import write_atomically
from tuner.settings.builtin import find_space
from tuner.settings.hyperparameters import Hyperparameters
from tuner.settings.metric import Metric
from tuner.training.spec import TrialSpec

DATA, SPACE, TABLE = "rotten-tomatoes", "seed", "rotten_tomatoes_seed.npz"
MEMBERS = 5
BEST = 20  # configurations that members are drawn from
FOLDS = 2
SOFT_SHARE = 0.5  # of the members' probability in a label
COMPARED = ("hard", "best member", "members averaged")
Soft = NDArray[np.float32]  # (n_sequences,), probability of the second class


def main() -> None:
    """Trains what is not recorded yet, and shows the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=8)
    parser.add_argument("--learn", type=int, default=4000, help="rows to learn from")
    parser.add_argument("--unlabelled", type=int, default=2000, help="further rows without labels")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/distillation"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    recorded = []
    for number in range(given.repetitions):
        path = given.out / f"{number}.json"
        if not path.is_file():
            write_atomically(path, json.dumps(_repetition(given, number)))
        recorded.append(json.loads(path.read_text(encoding="utf-8")))
        sys.stderr.write(f"{number}: {recorded[-1]}\n")
    arms = {name: [100 * each[name] for each in recorded] for name in recorded[0]}
    rows = [
        {"model": name, "over": base, **paired(arms[base], values)}
        for base in COMPARED
        for name, values in arms.items()
        if name != base
    ]
    show("distillation", rows, given.out)


def _repetition(given: argparse.Namespace, number: int) -> Mapping[str, float]:
    """The accuracies of one repetition, on the rows that chose nothing."""
    rows = texts(DATA)
    rng = np.random.default_rng(number)
    order = rng.permutation(len(rows))
    ends = np.cumsum([given.learn, given.learn // 5, given.unlabelled])
    learn, validation, unlabelled, measured = (rows.only(part) for part in np.split(order, ends))
    space = find_space(SPACE)
    table = load_table(TABLES / TABLE)
    configurations = [
        space.hyperparameters(table.architectures[each], table.space.values(table.parameters[each]))
        for each in rng.permutation(ranked(table)[:BEST])[:MEMBERS]
    ]

    def train(
        hyperparameters: Hyperparameters,
        seed: int,
        own: EncodedSequences,
        asked: EncodedSequences,
        soft: Soft | None = None,
    ) -> tuple[float, Soft]:
        """The validation accuracy of its best epoch, and its probabilities on the sequences that it is asked about."""
        from soft_training import SoftTraining

        spec = TrialSpec(0, hyperparameters, seed, space.max_epochs, patience=1)
        labels = own.labels.astype(np.float32) if soft is None else soft
        training = SoftTraining(
            spec, labels, train=own, validation=validation, n_classes=2, keep_best=Metric()
        )
        losses: list[float] = []
        scores = []
        for epoch in training.epochs():
            losses.append(epoch.val_loss)
            scores.append(epoch.val_accuracy)
            if spec.is_over(losses):
                break
        return max(scores), training.finish(asked).probabilities[:, 1]

    members = [train(each, number, learn, _joined(unlabelled, measured)) for each in configurations]
    best = int(np.argmax([score for score, _ in members]))
    mean = np.mean([soft for _, soft in members], axis=0)
    further, answers = np.split(mean, [len(unlabelled)])
    out_of_fold = np.zeros(len(learn), np.float32)
    for fold in range(FOLDS):
        is_out = np.arange(len(learn)) % FOLDS == fold
        inside, outside = learn.only(np.flatnonzero(~is_out)), learn.only(np.flatnonzero(is_out))
        answered = [train(each, number, inside, outside)[1] for each in configurations]
        out_of_fold[is_out] = np.mean(answered, axis=0)
    hard = learn.labels.astype(np.float32)
    soft = (1 - SOFT_SHARE) * hard + SOFT_SHARE * out_of_fold
    guessed = replace(unlabelled, labels=(further > 0.5).astype(np.int32))
    taught = {
        "hard": (learn, hard),
        "out of fold": (learn, soft),
        "both": (_joined(learn, guessed), np.concatenate([soft, further])),
    }
    students = {
        name: train(configurations[best], 1000 + number, own, measured, labels)[1]
        for name, (own, labels) in taught.items()
    }
    return {
        "best member": _accuracy(members[best][1][len(unlabelled) :], measured),
        "members averaged": _accuracy(answers, measured),
        **{name: _accuracy(answered, measured) for name, answered in students.items()},
    }


def _joined(*parts: EncodedSequences) -> EncodedSequences:
    return EncodedSequences(
        np.concatenate([each.tokens for each in parts]),
        offsets_of(np.concatenate([each.lengths for each in parts])),
        np.concatenate([each.labels for each in parts]),
    )


def _accuracy(probabilities: Soft, sequences: EncodedSequences) -> float:
    return float(((probabilities > 0.5) == sequences.labels).mean())


if __name__ == "__main__":
    main()
