"""Where every file of a workspace lies: the paths of `dvc.yaml`, in one place."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """Paths below the project's root. Only code in `stages` opens them."""

    root: Path = Path()

    @property
    def params(self) -> Path:
        """All knobs."""
        return self.root / "params.yaml"

    @property
    def data(self) -> Path:
        """Canonical raw tables: interactions.csv, users.csv, items.csv. Belongs to `data.dvc`."""
        return self.root / "data"

    @property
    def validated(self) -> Path:
        """Rows that passed, as interactions.parquet, users.parquet, items.parquet."""
        return self.root / "artifacts/validated"

    @property
    def quarantine(self) -> Path:
        """Rows that did not pass, each with its reason; the same three names."""
        return self.root / "artifacts/quarantine"

    @property
    def checks(self) -> Path:
        """What stages found about their results, bad ones too; `compare` publishes it in reports."""
        return self.root / "artifacts/checks"

    @property
    def validation_report(self) -> Path:
        """The verdict on the raw tables."""
        return self.checks / "validation.json"

    @property
    def split_report(self) -> Path:
        """What the split promises, and whether it is so."""
        return self.checks / "split.json"

    @property
    def split(self) -> Path:
        """train, valid, test and new_users.parquet; vocabulary/ with users, items and features.json."""
        return self.root / "artifacts/split"

    @property
    def vocabulary(self) -> Path:
        """users.parquet, items.parquet (index, id, features) and features.json (how features are encoded)."""
        return self.split / "vocabulary"

    def model(self, name: str) -> Path:
        """Directory of one model: `trained` and `saved_model`."""
        return self.root / "models" / name

    def trained(self, name: str) -> Path:
        """Arrays and weights of a model, its catalogue and the users that it was trained on."""
        return self.model(name) / "trained"

    def saved_model(self, name: str) -> Path:
        """The TensorFlow graph of a model, which `export` writes."""
        return self.model(name) / "saved_model"

    def training(self, name: str) -> Path:
        """How a model was trained: curves, chosen epoch, settings; or why it was skipped."""
        return self.root / "artifacts/training" / f"{name}.json"

    def evaluation(self, name: str) -> Path:
        """Lists and per-user metrics of one retriever."""
        return self.root / "artifacts/evaluation" / name

    def variants(self, group: str) -> Path:
        """A group of variants, contenders with some settings changed: variants.json, users and new_users.parquet."""
        return self.root / "artifacts/variants" / group

    @property
    def planted(self) -> Path:
        """Folding on planted groups: planted.json, items.parquet."""
        return self.root / "artifacts/planted"

    @property
    def rerank(self) -> Path:
        """Candidates of MF ranked again by the softmax DNN: rerank.json, users.parquet."""
        return self.root / "artifacts/rerank"

    def items(self, name: str) -> Path:
        """Nearest items and the map of one retriever's item embeddings."""
        return self.root / "artifacts/items" / name

    @property
    def study(self) -> Path:
        """Figures of the negative-sampling study; kept in Git."""
        return self.root / "studies"

    def tuning(self, name: str) -> Path:
        """Record of the search for a model's settings; kept in Git, pinned by DVC."""
        return self.root / "tuning" / f"{name}.json"

    def cost(self, stage: str) -> Path:
        """Measured cost of a stage such as `growth` or `train/mf`: its only file that differs from run to run."""
        return self.root / "artifacts/cost" / f"{stage}.json"

    @property
    def reports(self) -> Path:
        """What people read."""
        return self.root / "reports"

    @property
    def drift(self) -> Path:
        """How the data differ from those of the version in production: drift.json, drift.html."""
        return self.root / "reports/drift"

    @property
    def decision(self) -> Path:
        """Whether the challenger goes into production, and why: decision.json, decision.md, decision.html."""
        return self.root / "reports/decision"
