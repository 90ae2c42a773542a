"""The model card: what the model is, what it learned from, how sure its figures are, and how to make it again."""

import shlex
from collections.abc import Collection, Sequence

from tuner.config import SearchConfig, format_duration
from tuner.data import Dataset, Split
from tuner.finalists.formats import ExportFormat, usage
from tuner.finalists.openings import member_name, read_openings
from tuner.finalists.ranking import Finalist, optimism
from tuner.numbers import count_text
from tuner.records import Attribute, StudyReader, counts_as_finished, is_cut_off
from tuner.run_folder import RunFolder
from tuner.study import CONFIRMATION, load_study
from tuner.yaml_files import read_yaml


def model_card(
    folder: RunFolder,
    config: SearchConfig,
    dataset: Dataset,
    finalists: Sequence[Finalist],
    formats: Collection[ExportFormat] = (),
) -> str:
    """Markdown."""
    from tuner.errors import RunFolderError

    reader = StudyReader(load_study(folder.journal))
    trials = sum(counts_as_finished(trial) for trial in reader.study.get_trials(deepcopy=False))
    recorded = read_yaml(folder.run_file, RunFolderError)
    versions = recorded.get("versions") or {}
    sizes = ", ".join(f"{len(dataset.splits[split]):,} {split}" for split in Split)
    metric = config.space.metric.name.removeprefix("val_")
    kind = (
        "One model"
        if len(finalists) == 1
        else f"{len(finalists)} models, their probabilities averaged"
    )
    lines = [
        f"# {folder.name}",
        "",
        f"{kind}; classifies sequences as {_listed(dataset.class_names)}. Made by tuner from the run `{folder.name}`.",
        "",
        "```python",
        "import tuner",
        "",
        'tuner.load_model("model").predict(["…"])',
        "```",
        "",
        *usage(formats, dataset.class_names),
        "## Data",
        "",
        f"`{config.data.source}` ({sizes}), read as {dataset.token_mode}, fingerprint `{dataset.fingerprint[:16]}`.",
        "",
        "## How it was chosen",
        "",
        f"{count_text(trials, 'trial')} of the space `{config.space.name}` in "
        f"{format_duration(max(1.0, reader.seconds))}, scored on the "
        "validation split; the best were trained again with fresh seeds and ranked on the confirmation "
        "split, which the search never saw. Of each, the seed that was best there is in this folder.",
        "",
        f"| trial | architecture | seeds | confirmed {metric} | 95 % interval | in the search | optimism |",
        "|---|---|---|---|---|---|---|",
        *(_row(finalist, config) for finalist in finalists),
        "",
        *_tested(folder, finalists),
        "## Parameters",
        "",
    ]
    for finalist in finalists:
        lines.append(f"Trial {finalist.record.number}, `{finalist.record.architecture}`:")
        lines.append("")
        lines += [f"- {name}: {value}" for name, value in finalist.record.parameters.items()]
        lines.append("")
    lines += [
        "## To make it again",
        "",
        "```sh",
        f"tuner search --config {shlex.quote(str(folder.run_file))}",
        _confirmation(folder, finalists),
        shlex.join(
            ["tuner", "export", str(folder.path), *(f"--format={form}" for form in sorted(formats))]
        ),
        "```",
        "",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "",
    ]
    return "\n".join(lines)


def _tested(folder: RunFolder, finalists: Sequence[Finalist]) -> list[str]:
    """What came of testing just these models, where that was done before."""
    members = [member_name(each.record.number, each.members[0].seed) for each in finalists]
    of_these = [each for each in read_openings(folder) if each.get("members") == members]
    if not of_these:
        return []
    lines = ["## Tested", ""]
    for opening in of_these:
        figures = opening["figures"]
        lines.append(
            f"- On {opening['data']}, {figures['sequences']:,} sequences: accuracy {figures['accuracy']:.4f} "
            f"(95 % interval {figures['low']:.4f} to {figures['high']:.4f}), loss {figures['loss']:.4f}; "
            f"opened {opening['opened']}."
        )
    return [*lines, ""]


def _confirmation(folder: RunFolder, finalists: Sequence[Finalist]) -> str:
    """The command that was typed, as far as its trials tell."""
    study = load_study(folder.journal, CONFIRMATION)
    chosen = str(study.user_attrs.get(Attribute.TRAIN_ON, ""))
    wanted = [
        trial.user_attrs[Attribute.FINALIST]
        for trial in study.get_trials(deepcopy=False)
        if not is_cut_off(trial) and trial.user_attrs.get(Attribute.TRAIN_ON) == chosen
    ]
    top, seeds = len(set(wanted)), max(wanted.count(each.record.number) for each in finalists)
    options = [f"--top={top}", f"--seeds={seeds}", f"--train-on={chosen}"]
    return shlex.join(["tuner", "confirm", str(folder.path), *options])


def _row(finalist: Finalist, config: SearchConfig) -> str:
    spread = finalist.spread
    return (
        f"| {finalist.record.number} | {finalist.record.architecture} | {len(finalist.members)} | {spread.mean:.4f} "
        f"| {spread.low:.4f} to {spread.high:.4f} | {finalist.record.score or 0:.4f} "
        f"| {optimism(finalist, config.space):+.4f} |"
    )


def _listed(names: Sequence[str]) -> str:
    shown = [f"`{name}`" for name in names]
    return " or ".join(shown) if len(shown) == 2 else ", ".join(shown)
