"""A team whose events lie in PostgreSQL: a clone for its nights, with remotes of Git and, by SSH, of DVC."""

from pathlib import Path

import pandas as pd
from services.postgres import HOST, Postgres
from services.projects import call, dvc
from services.sshd import Sshd
from small_project import new_workspace, share, shorten

SECRET = "hunter2-of-the-database"
QUERIES = {
    "interactions": 'SELECT who, what, "when", stars FROM interactions',
    "users": "SELECT who, age, country FROM users",
    "items": "SELECT what, name, year FROM items",
}
TYPES = {"int64": "bigint", "object": "text", "str": "text"}


class Shop:
    """The database, which a role with a password may read, and all that a night touches."""

    def __init__(self, root: Path, server: Postgres, storage: Sshd) -> None:
        self.root, self.storage = root, storage
        self.remote, self.workspace, self.queries = root / "remote.git", root / "workspace", root / "queries"
        self.database = server.new_database()
        server.execute(f"CREATE ROLE reader LOGIN PASSWORD '{SECRET}'")
        self.url = f"postgresql://reader:{SECRET}@{HOST}:{server.port}/{self.database}"
        new_workspace(self.workspace)
        shorten(self.workspace)
        self._fill(server)
        storage.remote(dvc, self.workspace)
        share(self.workspace, self.remote)

    def at_remote(self, *arguments: str) -> str:
        """What Git says there."""
        return call("git", *arguments, cwd=self.remote).strip()

    def _fill(self, server: Postgres) -> None:
        """What the workspace has, and an event more: the night finds new data."""
        self.queries.mkdir()
        for name, query in QUERIES.items():
            (self.queries / f"{name}.sql").write_text(query)
            table = pd.read_csv(self.root / f"{self.workspace.name}-files" / f"{name}.csv")
            if name == "interactions":
                table.loc[len(table)] = [0, 49, int(table["when"].max()) + 60, 4]
            columns = ", ".join(f'"{column}" {TYPES[str(table[column].dtype)]}' for column in table)
            rows = ", ".join(str(tuple(row)) for row in table.astype(object).itertuples(index=False))
            statements = (
                f"CREATE TABLE {name} ({columns}); INSERT INTO {name} VALUES {rows}; GRANT SELECT ON {name} TO reader;"
            )
            server.execute(statements, self.database)
