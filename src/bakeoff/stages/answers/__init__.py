"""Answers of a model about the users of a split, measured: by this process, by several, or by Spark's executors."""

from bakeoff.stages.answers.portion import Portion
from bakeoff.stages.answers.questions import ALL, SHUFFLED, TEST, Questions
from bakeoff.stages.answers.who import Answering, answering

__all__ = ["ALL", "SHUFFLED", "TEST", "Answering", "Portion", "Questions", "answering"]
