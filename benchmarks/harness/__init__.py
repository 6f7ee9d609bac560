"""How systems are run beside each other: data, processes, tuning, scores, tables."""
