"""Data sets with a publisher: a module each, whose `DATASETS` are found by `bakeoff.data.fetch.publishers.datasets`."""
