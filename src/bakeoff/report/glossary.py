"""Every term that the report uses, explained in a sentence or two."""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from bakeoff.core.yaml_reader import read_yaml
from bakeoff.report.models import look

SAMPLERS: dict[str, tuple[str, str]] = {
    "negatives": (
        "Negatives",
        "Items that a user did not choose, and which training ranks below those that the user chose. The full softmax "
        "takes the whole catalogue; samplers draw a few.",
    ),
    "in-batch": (
        "In-batch negatives",
        "The targets of the other users in the batch: popular items come often. They cost no draw.",
    ),
    "uniform": ("Uniform negatives", "Draws from the catalogue, every item as likely as any other."),
    "popularity-sampler": (
        "Popularity negatives",
        "Draws from the catalogue, an item in proportion to a power of its number of training events.",
    ),
    "log-uniform": (
        "Log-uniform negatives",
        "Draws by Zipf's law over the rank of an item's number of training events: the first most often.",
    ),
    "mixed": ("Mixed negatives", "Draws of several samplers together, such as in-batch and uniform."),
    "hard": (
        "Hard negatives",
        "Of the candidates that were sampled, each query draws some again, the more often the higher it scores them; "
        "the correction takes these chances into account.",
    ),
    "top-k": (
        "Top-k negatives",
        "Of the candidates that were sampled, each query keeps those that it scores highest. Since the others have no "
        "chance at all, no correction is exact.",
    ),
}
"""Where negatives come from, and which of them each query is trained against."""

TERMS: dict[str, tuple[str, str]] = {
    "ndcg": (
        "NDCG@k",
        "Normalised discounted cumulative gain: hits among the first k, each worth less the lower it ranks, "
        "divided by the best that was possible. 0 is no hit, 1 a perfect list (Järvelin and Kekäläinen "
        "2002).",
    ),
    "recall": (
        "Recall@k",
        "Share of the user's test items among the first k, divided by k where the user has more test items than that.",
    ),
    "mrr": (
        "MRR@k",
        "Mean reciprocal rank: 1 divided by the rank of the first hit, 0 if there is none among the first k.",
    ),
    "hit-rate": ("Hit rate@k", "Share of users with at least one hit among the first k."),
    "interval": (
        "Interval",
        "A bootstrap over users: were other users of the same kind drawn, the mean would lie in this range "
        "with the stated confidence. It does not cover other seeds or other data.",
    ),
    "p-value": (
        "p",
        "How often a difference at least as large would appear if the two models were interchangeable: "
        "signs of the differences per user are flipped at random (paired permutation test).",
    ),
    "holm": (
        "Holm",
        "Adjusts p for the number of comparisons in the table (Holm 1979), so that one in many does not "
        "stand out by luck.",
    ),
    "effect": (
        "Effect size d",
        "Cohen's d_z: the mean difference divided by the standard deviation of the differences over users. "
        "0.2 is called small, 0.5 medium, 0.8 large.",
    ),
    "detectable": (
        "Detectable",
        "The smallest true difference that a test set of this size would show with a probability of 80 %.",
    ),
    "warm-user": ("Warm user", "A user who was in training with the earlier part of the history."),
    "new-user": (
        "New user",
        "A user held out of training; the models get only the features and the first few interactions.",
    ),
    "validation": (
        "Validation",
        "The events just before the test part: the epoch is chosen on them, then the model is fitted anew with them.",
    ),
    "test": ("Test", "The last events of each user; looked at once, by the evaluation."),
    "mask": (
        "Mask of the user's own items",
        "Sampled negatives may be items that the user had. The mask removes them from the loss; the pairs that it "
        "removes are the false negatives that training would see without it.",
    ),
    **SAMPLERS,
    "logq": (
        "logQ correction",
        "The logarithm of an item's expected number among the candidates is subtracted from its logit, for positives "
        "and sampled items alike, so that an item is not pushed down for being drawn often (Bengio and Senécal "
        "2008, Yi et al. 2019).",
    ),
    "kl": (
        "KL divergence",
        "Distance of the learned distribution, the softmax of the logits, from the true one: the mean, drawn "
        "from the true one, of the logarithm of true over learned, in nats. 0 where both are the same.",
    ),
    "trial": (
        "Trial",
        "One training with one setting, judged on validation. A pruned one was stopped early because it was behind.",
    ),
    "epoch": ("Epoch", "One pass over the training data."),
    "quarantine": (
        "Quarantine",
        "Rows that can't be used, each with its reason. No model sees them.",
    ),
}
"""Anchor → (term, explanation), in the order in which the report needs them; models have entries of their own."""


def glossary(models: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The models that the report shows, then all other terms, those of the topics' sections last."""
    explained = {name: (look(name).label, look(name).meaning) for name in models if look(name).meaning}
    return explained | TERMS | _topic_terms()


@cache
def _topic_terms() -> dict[str, tuple[str, str]]:
    file = files("bakeoff.report.topics").joinpath("terms.yaml")
    return {key: (term, meaning) for key, (term, meaning) in read_yaml(file.read_bytes(), str(file)).items()}
