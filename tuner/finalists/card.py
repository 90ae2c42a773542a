"""The model card: what the model is, what it learned from, how sure its figures are, and how to make it again."""

import shlex
from collections.abc import Collection, Sequence

from tuner.config import SearchConfig, format_duration
from tuner.data import Dataset, Split
from tuner.finalists.formats import ExportFormat, usage
from tuner.finalists.ranking import Finalist, optimism
from tuner.records import StudyReader, counts_as_finished
from tuner.run_folder import RunFolder
from tuner.study import load_study
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
        f"{trials} trials of the space `{config.space.name}` in {format_duration(max(1.0, reader.seconds))}, scored "
        "on the validation split; the best were trained again with fresh seeds and ranked on the confirmation "
        "split, which the search never saw. Of each, the seed that was best there is in this folder.",
        "",
        f"| trial | architecture | seeds | confirmed {metric} | 95 % interval | in the search | optimism |",
        "|---|---|---|---|---|---|---|",
        *(_row(finalist, config) for finalist in finalists),
        "",
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
        f"tuner confirm {shlex.quote(str(folder.path))}",
        shlex.join(
            ["tuner", "export", str(folder.path), *(f"--format={form}" for form in sorted(formats))]
        ),
        "```",
        "",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "",
    ]
    return "\n".join(lines)


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
