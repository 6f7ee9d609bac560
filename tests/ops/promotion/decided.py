"""SideMetrics on which decisions are made, close to every limit and within all of them."""

from bakeoff.ops.params import GuardrailParams
from bakeoff.ops.promotion.decision import DecisionSide, PrimaryComparison, decide
from bakeoff.ops.promotion.guardrails import GuardrailMetrics, guardrails

CHALLENGER = DecisionSide("softmax", "1111.dir", data_md5="d1.dir", rows=1200)
CHAMPION = DecisionSide("mf", "2222.dir", "v3.0.0", "c" * 40, "d0.dir", 1000)
LIMITS = GuardrailParams()
AFTER = GuardrailMetrics(
    new_users=0.20, lift=0.1, spurious=0.05, p95_seconds=0.01, num_bytes=3_000_000, new_user_change=(-0.03, 0.01)
)
BEFORE = GuardrailMetrics(new_users=0.21, lift=0.05, spurious=0.05, p95_seconds=0.02, num_bytes=2_000_000)


def primary(low: float = 0.01, high: float = 0.03, margin: float = 0.0, num_users: int = 500) -> PrimaryComparison:
    mean = (low + high) / 2
    return PrimaryComparison("ndcg@10", 0.2 + mean, 0.2, mean, low, high, 0.01, num_users, margin, 0.95)


def rails(after: GuardrailMetrics = AFTER, before: GuardrailMetrics | None = BEFORE, limits: GuardrailParams = LIMITS):
    return guardrails(limits, "ndcg@10", after, before)


def decision(found: PrimaryComparison | None = None, guards=None, champion: DecisionSide | None = CHAMPION, **others):
    return decide(CHALLENGER, champion, found or primary(), rails() if guards is None else guards, **others)
