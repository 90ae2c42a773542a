"""The search space of trials whose embeddings start from word vectors. Must not import Ray, Keras or Optuna."""

from tuner.errors import ConfigError
from tuner.settings.hyperparameters import is_custom
from tuner.settings.space import SearchSpace


def starting_from_vectors(space: SearchSpace, size: int) -> SearchSpace:
    """The space with embeddings as large as the word vectors, whatever it says of their size.

    Raises:
        ConfigError: it has an architecture of the person's own, which builds its own embedding.
    """
    for architecture in filter(is_custom, space.architectures):
        raise ConfigError.of(
            "vectors",
            f"{architecture} builds an embedding of its own, which does not start from them; leave them out, "
            "or search tuner's architectures alone",
        )
    mapping = space.to_mapping()
    for name, own in mapping["architectures"].items():
        kept = {key: value for key, value in (own or {}).items() if key != "embedding_size"}
        mapping["architectures"][name] = kept
    fixed = {"embedding_size": size}
    mapping["shared"] = {**mapping.get("shared", {}), **fixed}
    mapping["baselines"] = [{**baseline, **fixed} for baseline in mapping.get("baselines", ())]
    return SearchSpace.from_mapping(mapping, space.name)
