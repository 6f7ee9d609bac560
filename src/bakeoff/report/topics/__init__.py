"""Topics of the report. Each module holds one subject: its claims, its figures and its sections, as `Topic`s."""
