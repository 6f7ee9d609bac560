"""The local stack: PostgreSQL, the Prefect server and workers on this machine, under supervisord."""
