"""Makes a data set that is neither English nor binary: words, and the language that each is frequent in.

    python tests/benchmarks/replay/word_origins.py words.csv
    python tests/benchmarks/replay_table.py record --space seed --data words.csv --tokens characters --out FOLDER

The words are those of `wordfreq` (Robyn Speer, 2022): of each language the most frequent ones that consist of Latin
letters, have at least four of them, and are not among those of another.
"""

import csv
import sys
from collections import Counter
from pathlib import Path

from wordfreq import top_n_list

from tuner.files import atomic_file

LANGUAGES = ("de", "es", "fi", "fr", "it", "pl")
PER_LANGUAGE = 1400  # of which 4,000 are learned from and 4,000 measured on
CONSIDERED = 12_000  # of each language


def words_of_one_language() -> dict[str, list[str]]:
    """By language its words, the most frequent ones first."""
    considered = {
        language: [
            word
            for word in top_n_list(language, CONSIDERED)
            if len(word) >= 4 and word.isalpha() and ord(max(word)) < 0x250
        ]
        for language in LANGUAGES
    }
    languages = Counter(word for words in considered.values() for word in words)
    own = {
        language: [word for word in words if languages[word] == 1][:PER_LANGUAGE]
        for language, words in considered.items()
    }
    assert all(len(words) == PER_LANGUAGE for words in own.values())
    return own


def main() -> None:
    """Writes the file."""
    with (
        atomic_file(Path(sys.argv[1])) as fresh,
        fresh.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for language, words in words_of_one_language().items():
            writer.writerows((word, language) for word in words)


if __name__ == "__main__":
    main()
