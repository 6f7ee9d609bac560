"""Where raw data comes from: publishers, a package mirror, your own files; all as canonical tables."""
