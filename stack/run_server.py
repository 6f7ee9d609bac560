"""Program of the stack: waits for PostgreSQL, then becomes the Prefect server."""

import asyncio
import os
import sys
from pathlib import Path

import asyncpg

from . import database
from .layout import Layout

PATIENCE = 0.2


def main() -> None:
    """Read the password here, so that neither a command line nor supervisord's configuration holds it."""
    layout = Layout(Path(sys.argv[1]))
    options = layout.load()
    if options is None:
        sys.exit(f"{layout.options} is missing: start the stack with `make up`.")
    if options.database == "postgresql":
        asyncio.run(make_database(layout, options.database_port))
        os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database.connection_url(layout, options.database_port)
    arguments = ["server", "start", "--host", options.host, "--port", str(options.port)]
    os.execv(  # noqa: S606 - no shell is meant
        sys.executable, [sys.executable, "-m", "prefect", *arguments]
    )


async def make_database(layout: Layout, port: int) -> None:
    """Wait until PostgreSQL takes connections, then make Prefect's database if there is none."""
    while True:
        try:
            connection = await asyncpg.connect(
                host=database.HOST,
                port=port,
                user=database.USER,
                password=database.read_password(layout),
                database="postgres",
            )
            break
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
            await asyncio.sleep(PATIENCE)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database.NAME):
            await connection.execute(f'CREATE DATABASE "{database.NAME}"')
    finally:
        await connection.close()


if __name__ == "__main__":
    main()
