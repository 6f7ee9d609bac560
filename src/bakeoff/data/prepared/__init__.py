"""A split as training, evaluation and reports read it: large arrays are mapped from files."""
