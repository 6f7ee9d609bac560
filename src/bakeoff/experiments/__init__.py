"""Models trained, evaluated and compared: tuning, variants, planted groups, growth."""
