"""Every term that the report uses, explained in a sentence or two."""

from collections.abc import Iterable

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
    "fold-in": (
        "Fold-in",
        "Solving for the vector of a user who was not in training, with the item vectors left as they are.",
    ),
    "arp": (
        "ARP@k",
        "Average recommendation popularity: how many training interactions the recommended items have on "
        "average (Yin et al. 2012).",
    ),
    "lift": (
        "Popularity lift",
        "ARP of the lists divided by that of the users' own histories, minus 1: 0 % means that lists are as "
        "popular as what people already like.",
    ),
    "coverage": ("Coverage@k", "Share of the catalogue that is in at least one user's list."),
    "gini": (
        "Gini@k",
        "How unevenly the places in the lists are shared among items: 0 if all get the same, 1 if one gets all.",
    ),
    "long-tail": (
        "Long-tail share@k",
        "Share of a list outside the items that gather the first 80 % of all interactions.",
    ),
    "validation": (
        "Validation",
        "The events just before the test part: the epoch is chosen on them, then the model is fitted anew with them.",
    ),
    "test": ("Test", "The last events of each user; looked at once, by the evaluation."),
    "order-blind": (
        "Order-blind",
        "A model that sees which items a user had and not in which order: it can't continue a session.",
    ),
    "mask": (
        "Mask of the user's own items",
        "Sampled negatives may be items that the user had. The mask removes them from the loss; the pairs that it "
        "removes are the false negatives that training would see without it.",
    ),
    "unobserved-weight": (
        "α₀",
        "Weight of the pairs of users and items that were not observed in the loss of MF; an observed pair has 1. It "
        "says how much it costs to score them above 0 (Rendle et al. 2021). At 0 it costs nothing, and a model may "
        "fold.",
    ),
    "regularisation": (
        "λ",
        "Weight of the squared length of the embeddings in the loss of MF: it pulls them to 0. λ_u, that of one user, "
        "is λ times a power of the sum of the user's items and α₀ times those of the catalogue; that of an item "
        "likewise (Rendle et al. 2021).",
    ),
    "folding": (
        "Folding",
        "The mean, over pairs of users and items, of how far the model's score exceeds how related the two are, "
        "both in 0 to 1 (Xin et al. 2017): high scores without a reason. 0 is no folding.",
    ),
    "relatedness": (
        "Relatedness",
        "How related a user and an item are, from 0 to 1. It is known on planted groups: 1 within a "
        "group, 0 across. On real data it is read from an ALS fit with a high weight on unobserved pairs.",
    ),
    "spurious": (
        "Foreign items, spurious@k",
        "Share of the first k items whose relatedness to the user is below a stated threshold; on planted groups "
        "those of other groups (off-group@k).",
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
    "sampled-metric": (
        "Sampled metric",
        "A metric of the rank that a test item takes among a few random items instead of the whole catalogue. It is "
        "cheaper, and can order models differently.",
    ),
    "trial": (
        "Trial",
        "One training with one setting, judged on validation. A pruned one was stopped early because it was behind.",
    ),
    "epoch": ("Epoch", "One pass over the training data."),
    "exponent": (
        "Exponent of growth",
        "Cost grows as the size of the data to the power of it: with 1 twice the data cost twice as much, with 2 four "
        "times. The slope of a line through the logarithms of both, with its interval.",
    ),
    "p95": (
        "p50, p95",
        "The time within which half, or nineteen of twenty, of the answers came.",
    ),
    "quarantine": (
        "Quarantine",
        "Rows that can't be used, each with its reason. No model sees them.",
    ),
}
"""Anchor → (term, explanation), in the order in which the report needs them; models have entries of their own."""


def glossary(models: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The models that the report shows, then all other terms."""
    explained = {name: (look(name).label, look(name).meaning) for name in models if look(name).meaning}
    return explained | TERMS
