"""Tables, charts, HTML pages and Markdown, from the figures of the report."""
