"""The engine that tables are prepared on: DuckDB, or Spark."""
