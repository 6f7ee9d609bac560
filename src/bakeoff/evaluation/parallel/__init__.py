"""Answers of a model about the users of a split, measured: by this process, by several, or by Spark's executors."""

from bakeoff.evaluation.parallel.eval_queries import ALL, SHUFFLED, TEST, Questions
from bakeoff.evaluation.parallel.executors import Answering, answering
from bakeoff.evaluation.parallel.user_batch import Portion

__all__ = ["ALL", "SHUFFLED", "TEST", "Answering", "Portion", "Questions", "answering"]
