"""SideMetrics on which decisions are made, close to every limit and within all of them."""

from bakeoff.ops.params import GuardrailParams
from bakeoff.ops.promotion.decision import DecisionSide, Measured, PrimaryComparison, decide, guardrails

CHALLENGER = DecisionSide("softmax", "1111.dir", data_md5="d1.dir", rows=1200)
CHAMPION = DecisionSide("mf", "2222.dir", "v3.0.0", "c" * 40, "d0.dir", 1000)
LIMITS = GuardrailParams()
NAMES = ("new_user_loss", "popularity_lift_rise", "spurious_rise", "p95_seconds", "model_bytes")
AFTER = dict(zip(NAMES, (0.20, 0.1, 0.05, 0.01, 3_000_000), strict=True))
BEFORE = dict(zip(NAMES, (0.21, 0.05, 0.05, 0.02, 2_000_000), strict=True))


def primary(low: float = 0.01, high: float = 0.03, margin: float = 0.0, num_users: int = 500) -> PrimaryComparison:
    mean = (low + high) / 2
    return PrimaryComparison("ndcg@10", 0.2 + mean, 0.2, mean, low, high, 0.01, num_users, margin, 0.95)


def rails(after: Measured = AFTER, before: Measured = BEFORE, limits: GuardrailParams = LIMITS):
    return guardrails(limits, "ndcg@10", after, before, (-0.03, 0.01))


def decision(found: PrimaryComparison | None = None, guards=None, champion: DecisionSide | None = CHAMPION, **others):
    return decide(CHALLENGER, champion, found or primary(), rails() if guards is None else guards, **others)
