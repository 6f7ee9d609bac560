"""Topics of the report. Each module or package holds one: its claim, its figures and its section, as `TOPIC`."""
