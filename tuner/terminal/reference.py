"""The linear reference on the screen: its figures, and how the run's models compare with it."""

from itertools import zip_longest

from tuner.run.reference_record import ReferenceRecord


def reference_lines(
    reference: ReferenceRecord | None, *, width: int, heading: str = "Reference:"
) -> list[str]:
    """A line of figures and one for each model that was compared with it; none where it was not measured.

    Args:
        width: of the column that has the heading.
        heading: of the first line.
    """
    if reference is None:
        return []
    texts = [reference.text, *(each.text for each in reference.compared)]
    heads = zip_longest([heading], texts, fillvalue="")
    return [f"{head:<{width}} {text}" for head, text in heads]
