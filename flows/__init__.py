"""Prefect flows: files that a checkout runs (`python flows/pipeline.py`), and `bakeoff.flows` in the wheel."""
