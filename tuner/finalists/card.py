"""The model card: what the model is, what it learned from, how sure its figures are, and how to make it again."""

import shlex
from collections.abc import Collection, Iterable, Sequence

from tuner.data import Split, cluster_count
from tuner.export.card import Card, class_list, parameter_lines
from tuner.export.formats import ExportFormat, usage
from tuner.finalists.all_rows import AllRows
from tuner.finalists.choice import Chosen, ChosenReference, ChosenTrials
from tuner.finalists.finalist import Finalist
from tuner.finalists.model_choice import CHOICE_SETTINGS, MembersOf
from tuner.finalists.ranking import read_failures
from tuner.run import Run
from tuner.run.ended_trainings import confirmed
from tuner.run.evaluations import RecordedEvaluation, read_test_log
from tuner.run.finalists_file import shown_bias
from tuner.run.ledger import Ledger, others_text
from tuner.run.records import TrialRecord, counts_as_finished
from tuner.run.requested_trainings import MARGIN, margin_of, requests
from tuner.run.train_on import TrainOn
from tuner.settings.hyperparameters import module_options
from tuner.text import code_span, count_text, format_duration, one_group_lines, score_text
from tuner.training.linear_model import longest_of
from tuner.training.statistics import Spread
from tuner.training.threshold import EVEN


def model_card(
    chosen: Chosen,
    formats: Collection[ExportFormat] = (),
    temperature: float = 1.0,
    threshold: float = EVEN,
    all_rows: AllRows | None = None,
) -> str:
    """The card of finalists, trials or the linear reference, Markdown.

    Args:
        all_rows: these models trained again on all rows, where the folder has those.
    """
    config, members = chosen.config, chosen.members
    folder = chosen.run.files
    count = len(members) + (chosen.reference is not None)
    many = f"{count} models, their probabilities averaged"
    sections = {} if all_rows is None else {"Trained on all rows": _on_all_rows(all_rows)}
    sections["How it was chosen"] = _how_chosen(chosen)
    if tests := _tests(chosen.run, chosen.member_names, threshold):
        before = [] if all_rows is None else ["Before the training on all rows:", ""]
        sections["Tested"] = [*before, *tests]
    if members:
        sections["Parameters"] = list(_parameters(record for record, _ in members))
    modules = module_options(config.space.architectures)
    export = ["tuner", "export", str(folder.path), *_options(chosen)]
    export += ["--all-rows"] if all_rows is not None else []
    export += [f"--format={form}" for form in sorted(formats)]
    return Card(
        title=folder.name,
        introduction=f"{'One model' if count == 1 else many}; classifies sequences as "
        f"{class_list(chosen.dataset.class_names)}. Made by tuner from the run {code_span(folder.name)}."
        f"{'' if all_rows is None else f' **{all_rows.text}**'}"
        f"{_calibrated(temperature, is_measured=all_rows is None)}{_decided(chosen, threshold)}",
        dataset=chosen.dataset,
        source=config.data.source,
        sections=sections,
        commands=[
            f"{command}{modules}"
            for command in (
                f"tuner search --config {shlex.quote(str(folder.run_file))}",
                *(_confirm_commands(chosen.run) if chosen.finalists else ()),
                shlex.join(export),
            )
        ],
        versions=chosen.run.recorded.versions,
        usage=usage(formats, chosen.dataset.class_names),
    ).markdown()


def _options(chosen: Chosen) -> list[str]:
    """The options of `tuner export` that choose the same models again."""
    choice = chosen.choice
    if chosen.trials is not None:
        choice = choice.model_copy(update={"members": MembersOf.TRIALS})
    options = []
    for each in CHOICE_SETTINGS:
        value = getattr(choice, each.keyword)
        if value != each.field.default and value is not MembersOf.FINALISTS:
            options.append(each.flag if each.is_switch else f"{each.flag}={value}")
    return options


def _calibrated(temperature: float, *, is_measured: bool) -> str:
    if temperature == 1.0:
        return ""
    if not is_measured:
        return (
            f" Its probabilities have the temperature {temperature:g}, with which the measured models were as sure as "
            "they were right on the confirmation split. That changes no label."
        )
    return (
        f" Its probabilities have the temperature {temperature:g}, fitted on the confirmation split: they are as sure "
        "as they were right there. That changes no label."
    )


def _decided(chosen: Chosen, threshold: float) -> str:
    """How a label follows from probabilities, where it is not the likelier one."""
    if threshold == EVEN:
        return ""
    name = chosen.dataset.class_names[1]
    if chosen.choice.threshold is not None:
        why = "as asked for"
    else:
        measure = chosen.config.space.metric.name.measure
        why = (
            f"which gave the best {measure} on the confirmation split; the other figures on that split are those "
            f"with {EVEN}"
        )
    return f" A sequence is labelled {code_span(name)} where the probability of that is above {threshold:g}, {why}."


def _on_all_rows(all_rows: AllRows) -> list[str]:
    return [
        f"After the models of this run had been chosen and measured, those in this folder were trained again on its "
        f"training, validation, confirmation and test rows together, {all_rows.rows:,} rows: with the same "
        f"parameters and seeds, and for as many epochs as the measured ones, which had {all_rows.measured}. Everything "
        "below, and what was fitted on the confirmation split (the temperature, a threshold, the part of the linear "
        "reference), is of those measured ones. On any row of these data this model's figures would flatter it: "
        "measure it on new ones.",
    ]


def _how_chosen(chosen: Chosen) -> list[str]:
    config, reader = chosen.config, chosen.run.reader
    of_reference = chosen.of_reference
    if of_reference is not None:
        return _how_reference_chosen(chosen, of_reference)
    finished = [t for t in reader.study.get_trials(deepcopy=False) if counts_as_finished(t)]
    trials = len(finished)
    metric = config.space.metric.name.measure
    scored_on = "the validation split"
    if config.rotate_validation:
        scored_on = "one of several parts of the training and validation rows, by turns, and trained on the others"
    searched = (
        f"{count_text(trials, 'trial')} of the space {code_span(config.space.name)} in "
        f"{format_duration(max(1.0, reader.seconds))}, scored on {scored_on}"
    )
    if narrower := sum(trial.number < reader.n_from_narrower for trial in finished):
        searched += f" (the first {narrower:,} of them drawn from a narrower space)"
    if chosen.trials is not None:
        return [*_how_trials_chosen(chosen.trials, searched, metric), *_reference(chosen.reference)]
    since = chosen.better_since
    numbers = {each.record.number for each in chosen.finalists}
    return [
        f"{searched}; the best were trained again with fresh seeds and ranked on the confirmation split, which the "
        f"search never saw. {_which_seeds(chosen)}",
        "",
        f"| trial | architecture | seeds | confirmed {metric} | 95 % interval | at most worse than the best "
        "| in the search | gap |",
        "|---|---|---|---|---|---|---|---|",
        *map(_row, chosen.finalists),
        *_corrected(chosen.finalists),
        *([f"\n{chosen.gains_text}"] if chosen.gains_text is not None else []),
        *_reference(chosen.reference),
        *(f"\n{each.text}" for each in read_failures(chosen.run) if each.trial in numbers),
        *([f"\n{since_text(since.number, since.score)}"] if since is not None else []),
    ]


def _which_seeds(chosen: Chosen) -> str:
    if chosen.choice.members is MembersOf.SEEDS:
        return "All of their seeds are in this folder, their probabilities averaged."
    return "Of each, the seed that was best there is in this folder."


def _corrected(finalists: Sequence[Finalist]) -> list[str]:
    """What the intervals are of."""
    bias = shown_bias(finalists[0].selection_bias)
    first = (
        f"The interval of trial {finalists[0].record.number}, which came first, is corrected by {bias} for "
        "that (selection bias). "
        if bias
        else ""
    )
    return [
        "",
        f"{first}Each {'other ' if bias else ''}interval holds for a finalist chosen before the confirmation.",
        *one_group_lines("confirmation", finalists[0].clusters),
    ]


def _how_trials_chosen(trials: ChosenTrials, searched: str, metric: str) -> list[str]:
    cost = trials.ensemble.cost_text
    return [
        f"{searched}; the best ones as they were trained there, not confirmed with fresh seeds. On the "
        f"confirmation split, which chose none of them, by {metric}: {trials.ensemble.text}. "
        f"{cost[0].upper()}{cost[1:]}.",
        *one_group_lines("confirmation", trials.ensemble.clusters),
        "",
        "| trial | architecture | in the search |",
        "|---|---|---|",
        *(
            f"| {record.number} | {record.architecture} | {score_text(record.score)} |"
            for record, _ in trials.members
        ),
    ]


def _how_reference_chosen(chosen: Chosen, spread: Spread) -> list[str]:
    """The linear reference as the only model, and the search's models compared with it."""
    assert chosen.reference is not None
    held_out, metric = Split.CONFIRMATION, chosen.config.space.metric.name.measure
    recorded = chosen.run.reference
    compared = () if recorded is None else recorded.compared
    return [
        f"It is the linear reference, which the search trained to compare its trials with: "
        f"{_regression(chosen.reference)}. On the confirmation split, from which it learned nothing, its {metric} is "
        f"{score_text(spread.mean)} (95 % interval {score_text(spread.low)} to {score_text(spread.high)}).",
        *(f"\nAgainst it, {each.text}." for each in compared),
        *one_group_lines("confirmation", cluster_count(chosen.dataset.clusters_of(held_out))),
    ]


def _reference(reference: ChosenReference | None) -> list[str]:
    """What the linear reference is, and its part of the average; nothing where it is no member."""
    if reference is None:
        return []
    accuracy = reference.model.figures.accuracy
    return [
        "",
        f"The linear reference has {reference.weight:.0%} of the average, the other models have the rest in equal "
        f"parts: {_regression(reference)} (on the confirmation split, its accuracy alone is {accuracy:.4f}).",
    ]


def _regression(reference: ChosenReference) -> str:
    longest, both = longest_of(reference.model.weights), reference.train_on is TrainOn.BOTH
    return (
        f"a logistic regression on the presence of n-grams of up to {longest} tokens, trained on the training "
        f"{'and the validation ' if both else ''}split"
    )


def since_text(trial: int, score: float | None) -> str:
    """A better trial that the search has found since."""
    return f"Trial {trial} scored better in the search since ({score_text(score)}) and is not confirmed."


def _row(finalist: Finalist) -> str:
    spread, deficit = finalist.spread, finalist.deficit
    return (
        f"| {finalist.record.number} | {finalist.record.architecture} | {len(finalist.members)} | {spread.mean:.4f} "
        f"| {spread.low:.4f} to {spread.high:.4f} "
        f"| {score_text(deficit.at_most) if deficit else ''} | {finalist.record.score or 0:.4f} "
        f"| {finalist.gap.whole.value:+.4f} ± {finalist.gap.whole.error:.4f} |"
    )


def _tests(run: Run, names: tuple[str, ...], threshold: float) -> list[str]:
    """The test evaluations of just these models and threshold, and how often others were evaluated on the same rows.

    Other runs count until today, where this machine knows of them: the models of several runs may have been tested
    before one of them is exported.
    """
    log = read_test_log(run.files)
    ledger = Ledger.of_user()
    recorded = {each.opened: each for each in ledger.entries() if each.run == run.name}
    own = [each.opened for each in log]
    lines = []
    for number, evaluation in enumerate(log):
        if not _is_of(evaluation, names, threshold):
            continue
        figures = evaluation.figures
        before = _before(
            [
                each
                for each in log[:number]
                if each.shares_rows_with(evaluation) and not _is_of(each, names, threshold)
            ],
            names,
        )
        lines.append(
            f"- On {evaluation.data}, {figures.sequences:,} sequences: accuracy {figures.accuracy:.4f} "
            f"(95 % interval {figures.low:.4f} to {figures.high:.4f}), loss {figures.loss:.4f}; "
            f"evaluated {evaluation.opened}.{before}"
        )
        lines += [f"  {note}" for note in figures.notes]
        if evaluation.reference is not None:
            lines.append(f"  On the same sequences: {evaluation.reference.text}.")
        elsewhere = set(evaluation.others or ())
        if entry := recorded.get(evaluation.opened):
            elsewhere.update(ledger.of_other_runs(entry, own))
        if elsewhere:
            lines.append(f"  {others_text(sorted(elsewhere, key=lambda each: each.opened))}")
    return lines


def _is_of(evaluation: RecordedEvaluation, names: tuple[str, ...], threshold: float) -> bool:
    return evaluation.members == names and (evaluation.threshold or EVEN) == threshold


def _before(others: Sequence[RecordedEvaluation], names: tuple[str, ...]) -> str:
    """The warning that others were evaluated on the same rows before; empty where none was."""
    if not others:
        return ""
    other = "models" if all(each.members != names for each in others) else "models or thresholds"
    return (
        f" Other {other} had been evaluated on the same rows {count_text(len(others), 'time')} before: if this one was "
        "chosen by those figures, its own flatter it."
    )


def _parameters(records: Iterable[TrialRecord]) -> Iterable[str]:
    for number, record in enumerate(records):
        if number:
            yield ""
        yield f"Trial {record.number}, `{record.architecture}`:"
        yield ""
        yield from parameter_lines(record.parameters)


def _confirm_commands(run: Run) -> list[str]:
    """The commands that request the same finalists and seeds, one per confirmation that they come from."""
    study = run.confirmation
    assert study is not None  # or there would be no finalists
    known = set(confirmed(study))
    commands = []
    for request in requests(study):
        if request and known.issuperset(request):
            finalists = [each.trial for each in request]
            top, seeds = len(set(finalists)), max(map(finalists.count, finalists))
            options = [f"--top={top}", f"--seeds={seeds}", f"--train-on={request[0].train_on}"]
            if (margin := margin_of(study)) != MARGIN:
                options.append(f"--margin={margin:g}")
            commands.append(shlex.join(["tuner", "confirm", str(run.folder), *options]))
    return list(dict.fromkeys(commands))
