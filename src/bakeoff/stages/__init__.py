"""One module per DVC stage: the only code that reads or writes files."""
