"""What must stay the same while a search goes on. Must not import Ray, Keras or Optuna."""

import hashlib
import json
from collections.abc import Iterator, Mapping

from tuner.data.vectors import digest_of
from tuner.settings.config import SearchConfig
from tuner.settings.validation import Strict

_ALWAYS_COMPARED = ("objectives", "vectors", "validation")  # parts of a fingerprint


class Fingerprint(Strict):
    """The parts of a search that must stay the same for its trials to be comparable; budget and resources may change.

    A part that is None was not recorded, as in a run from before the part was added, and is not compared. Objectives,
    word vectors and the validation are always compared: None means that the metric is the only one, that there are
    none, and that the same rows validate all trials. The order of the fields is the order in which differences are
    reported.
    """

    seed: int | None = None  # before the data: in earlier versions it also drew the splits
    max_epochs: int | None = None
    trainer: str | None = None
    space: str | None = None
    data: str | None = None
    vectors: str | None = None
    objectives: str | None = None
    patience: str | None = None
    validation: str | None = None
    parts: str | None = None  # where it rotates
    code: dict[str, str] | None = None  # by architecture of a person's own

    @classmethod
    def of(
        cls,
        config: SearchConfig,
        data: str,
        code: Mapping[str, str] | None = None,
        parts: str | None = None,
    ) -> "Fingerprint":
        """The fingerprint of a search.

        Args:
            config: its settings.
            data: the fingerprint of its data.
            code: digests of the code of the person's own architectures, by their names.
            parts: a digest of the parts that take turns; None where none do, or they are not asked about.
        """
        space = json.dumps(config.space.identity(), sort_keys=True)
        return cls(
            seed=config.seed,
            max_epochs=config.epochs,
            trainer=str(config.trainer),
            space=hashlib.sha256(space.encode()).hexdigest()[:16],
            data=data,
            vectors=None if config.data.vectors is None else digest_of(config.data.vectors),
            objectives=",".join(config.objectives) if config.objectives else None,
            patience=str(config.patience or "off"),
            validation="rotating" if config.rotate_validation else None,
            parts=parts,
            code=dict(code) if code else None,
        )

    def differences(self, requested: "Fingerprint", metric: str) -> Iterator[tuple[str, str]]:
        """The parts in which a requested search differs from this one, each with what this one has, in words.

        Args:
            metric: the space's, which is the objective where there is no pair of them.
        """
        recorded, others = self.model_dump(), requested.model_dump()
        for part in type(self).model_fields:
            mine, other = recorded[part], others[part]
            is_known = mine is not None or part in _ALWAYS_COMPARED
            is_asked = part != "code" and (part != "parts" or other is not None)
            if is_known and is_asked and mine != other:
                words = {
                    "data": "other data, another sample of them or another --data-seed",
                    "vectors": "other word vectors",
                    "objectives": f"objectives {mine or metric}, not {other or metric}",
                    "validation": f"{'' if mine else 'no '}--rotate-validation",
                    "parts": "other groups of its training rows",
                }
                yield part, words.get(part, f"{part} {mine}, not {other}")
