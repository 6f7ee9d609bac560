"""Folding: the claim about it, and recall compared with folding on planted groups and on the data itself."""

from bakeoff.report.evidence import Evidence
from bakeoff.report.measured import NotMeasured, notes_on
from bakeoff.report.topics.base.topic import Page, Topic
from bakeoff.report.topics.folding.claim import folding_claim
from bakeoff.report.topics.folding.figures import draw_folding, measure_folding


def _notes(evidence: Evidence) -> list[str]:
    """How the planted groups were made and scores calibrated, then how the variants were trained."""
    planted = evidence.measured.planted
    on_planted = (
        [planted.reason]
        if isinstance(planted, NotMeasured)
        else [str(planted.notes.get(name) or "") for name in ("sentence", "calibration")]
    )
    return [*on_planted, *notes_on(evidence.measured.group("folding"))]


TERMS = {
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
}
TOPIC = Topic(
    "folding",
    310,
    Page.EVIDENCE,
    "folding",
    measure_folding,
    draw_folding,
    "What they learn",
    "Folding",
    folding_claim,
    notes=_notes,
    terms=TERMS,
)
