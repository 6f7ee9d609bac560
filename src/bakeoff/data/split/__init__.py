"""From validated rows to train, validation and test parts, vocabulary, histories and features."""
