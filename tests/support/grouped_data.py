"""Reviews of customers, whose rows are alike: a model is right or wrong about all of a customer's."""

import csv
from pathlib import Path


def write_groups(folder: Path, **counts: int) -> Path:
    """A CSV with the columns text, label, customer and split.

    The labels of every third customer say the opposite of what they mean, so no model can be right about these. The
    confirmation split has the same texts as the validation split.

    Args:
        counts: customers in each split, of ten rows.
    """
    counts = {"train": 24, "validation": 9, "confirmation": 9, "test": 3, **counts}
    path = folder / "customers.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("text", "label", "customer", "split"))
        for split, count in counts.items():
            name = "held" if split in ("validation", "confirmation") else split
            for customer in range(count):
                is_contrary = split != "train" and customer % 3 == 2
                for row in range(10):
                    is_good = row % 2 == 0
                    label = "positive" if is_good is not is_contrary else "negative"
                    words = "good fine great" if is_good else "bad poor awful"
                    text = f"{words} number {row} of {name} {customer}"
                    table.writerow((text, label, f"{name} {customer}", split))
    return path
