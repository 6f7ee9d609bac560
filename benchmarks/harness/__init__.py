"""How systems are compared: data, processes, tuning, scores, tables."""
