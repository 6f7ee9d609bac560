"""Results that are clear, the other way round, and undecided."""

from dataclasses import replace

from bakeoff.report.verdict import Result

CLEAR = Result(
    metric="ndcg@10",
    softmax=0.25,
    mf=0.2,
    difference=0.05,
    low=0.04,
    high=0.06,
    p=0.0001,
    confidence=0.95,
    num_users=848,
    detectable=0.012,
)
MIRRORED = replace(CLEAR, softmax=0.2, mf=0.25, difference=-0.05, low=-0.06, high=-0.04)
UNDECIDED = replace(CLEAR, softmax=0.201, difference=0.001, low=-0.004, high=0.006, p=0.7)
