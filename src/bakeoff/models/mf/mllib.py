"""Implicit ALS by Spark MLlib, for more events than one machine trains on; parameters are mapped to MLlib's.

MLlib (Hu, Koren & Volinsky 2008, with the regularisation of Zhou et al. 2008) minimises, S being the observed pairs,

    L' = Σ_{u,i} c_ui (p_ui − x'_u·y'_i)² + r (Σ_u |S_u| ‖x'_u‖² + Σ_i |S_i| ‖y'_i‖²),
    c_ui = 1 + α p_ui,   p_ui = 1 on S, else 0.

Ours (see als.py) is the same up to a constant factor and the length of the embeddings, for α = 1/α₀ and scores
x'·y' = (1 + α₀) x·y, but for the rows' regularisation, which is a multiple of |S_u| there and a power of |S_u| + α₀ |I|
here. We take the multiple that is nearest in least squares, ρ_U = Σ_u λ_u |S_u| / Σ_u |S_u|², and ρ_I likewise; one r
serves both sides, since the embeddings of one side can make up for the shrinkage of the other:

    r = (1 + α₀)/α₀ · √(ρ_U ρ_I),   y = y' (ρ_U/ρ_I)^¼ / √(1 + α₀),   x = x' (ρ_I/ρ_U)^¼ / √(1 + α₀).

So item embeddings have the scale that fold-in expects. The two agree where λ_u is about proportional to |S_u| (ν near
1, α₀ |I| small against it); elsewhere MLlib regularises rare items and short histories less than ours does.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories
from bakeoff.core.processes import own_threads
from bakeoff.data.engine.settings import engine_settings, scratch_directory, spark_session
from bakeoff.models.mf.als import build, eigenbasis, rotate
from bakeoff.models.mf.mf import MFTrainer, ridge
from bakeoff.models.mf.spec import MFParams

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SCHEMA = pa.schema({"user": pa.int32(), "item": pa.int32()})
"""Row of a user's history and index of an item."""

ROWS_PER_PART = 1 << 18
"""Rows of a part, some 2 MB, unless a user has more; Spark reads several parts as one task."""

UNREADABLE = "FAILED_READ_FILE"
"""Part of any error message of Spark that is due to a file which a task did not find or could not read."""

FACTORS_PER_BLOCK = 1 << 16
"""Rows of embeddings that come from executors at once: 16 MiB at d = 64."""

_PAIRS_PER_BLOCK = 1 << 16
"""Pairs whose scores are computed at once: 2¹⁶ × d floats of either side, 16 MiB at d = 64."""


@contextmanager
def training_session(settings: MFParams) -> Iterator[Mapping[str, Any]]:
    """What training with these settings replaces; nothing, unless the solver is `mllib`.

    MLlib shows nothing between its iterations, so all of them count as one epoch, and validation still measures what is
    kept. The cluster is that of `BAKEOFF_SPARK_MASTER`.

    Yields:
        `build`, a function that makes the trainer, and `epochs`, as `ModelSpec.session` has them.

    Raises:
        BakeoffError: Spark is needed and not available.
    """
    if settings.solver != "mllib":
        yield {}
        return
    engine = engine_settings()
    with scratch_directory(engine) as scratch, spark_session(engine, scratch, "mf.solver", "auto") as session:
        # Each iteration depends on those before it: without checkpoints, some tens of them overflow the stack.
        session.sparkContext.setCheckpointDir(scratch.resolve().as_uri())
        als = partial(MLlibALS, session=session, scratch=scratch)
        yield {"build": partial(build, als=als), "epochs": 1}


@dataclass(frozen=True)
class MLlibParameters:
    """MLlib's parameters, and the factors that scale its embeddings to ours; see the module.

    Attributes:
        alpha: α, confidence of an observed pair.
        regularization: r.
        user_scale: of user embeddings.
        item_scale: of item embeddings.
    """

    alpha: float
    regularization: float
    user_scale: float
    item_scale: float

    @classmethod
    def of(cls, histories: Histories, num_items: int, params: MFParams) -> Self:
        """Map our parameters for these observed pairs.

        Raises:
            BakeoffError: α₀ is 0, for which MLlib has no finite α.
        """
        weight = params.unobserved_weight
        if weight == 0:
            raise BakeoffError(
                "mf.unobserved_weight is 0, and Spark MLlib always weighs unobserved pairs: set it above 0, or take "
                "another mf.solver than mllib."
            )
        users = _multiple(histories.lengths, num_items, params)
        items = _multiple(histories.item_counts(num_items), len(histories), params)
        shorter = 1 / np.sqrt(1 + weight)
        moved = (users / items) ** 0.25
        regularization = float((1 + weight) / weight * np.sqrt(users * items))
        return cls(1 / weight, regularization, float(shorter / moved), float(shorter * moved))


class MLlibALS(MFTrainer):
    """The attributes and the part of ImplicitALS, of one whole fit: MLlib shows nothing between its iterations."""

    def __init__(
        self, histories: Histories, num_items: int, params: MFParams, seed: int, session: "SparkSession", scratch: Path
    ) -> None:
        """Map the parameters; nothing is trained yet.

        Args:
            histories: pairs to learn from.
            num_items: of the catalogue.
            params: of MF; max_epochs are MLlib's iterations. init_scale, solver and cg_steps have no part in it.
            seed: of the initial embeddings.
            session: of Spark.
            scratch: directory that driver and executors see under this path.

        Raises:
            BakeoffError: the events have weights.
        """
        if histories.weights is not None:
            raise BakeoffError(
                "mf.solver is mllib, which takes no weights of events and no dislikes: choose another mf.solver, or "
                "set split.dislike_weight to 0, data.columns.event and data.columns.weight to null and split again."
            )
        super().__init__(histories, num_items, params)
        self._seed, self._session, self._scratch = seed, session, scratch
        self._mapping = MLlibParameters.of(self._histories, num_items, self._params)

    def run_epoch(self) -> float:
        """Run max_epochs iterations from the start; loss L per observed pair, as of ImplicitALS."""
        # Imported here: Spark is an extra that only this solver needs.
        from pyspark.ml.recommendation import ALS
        from pyspark.sql.functions import lit

        als = ALS(
            rank=self._params.dim,
            maxIter=self._params.max_epochs,
            regParam=self._mapping.regularization,
            alpha=self._mapping.alpha,
            implicitPrefs=True,
            seed=self._seed,
        )
        # Factors are taken within: where an executor is lost, Spark makes its share again, from the pairs on.
        with observed_pairs(self._histories, self._session, self._scratch) as pairs:
            model = als.fit(pairs.withColumn("rating", lit(1.0)))
            for factors, embeddings, scale in (
                (model.userFactors, self.user_embeddings, self._mapping.user_scale),
                (model.itemFactors, self.item_embeddings, self._mapping.item_scale),
            ):
                for ids, rows in factor_blocks(factors, self._scratch):
                    embeddings[ids] = rows * np.float32(scale)  # rows without events stay 0
        with own_threads() as pool:
            self.item_spectrum, basis = eigenbasis(pool, self.item_embeddings)
            rotate(pool, self.item_embeddings, basis)
            rotate(pool, self.user_embeddings, basis)
        return self._loss()

    def _loss(self) -> float:
        """L per observed pair, pairs in blocks."""
        x, y, params = self.user_embeddings, self.item_embeddings, self._params
        observed = 0.0
        for part, block in self._histories.blocks(_PAIRS_PER_BLOCK):
            scores = np.einsum("nd,nd->n", x[part][block.rows], y[block.items])
            observed += float(((scores - 1) ** 2).sum(dtype=np.float64))
        everywhere = float(((x.T @ x) * np.diag(self.item_spectrum)).sum())
        norms = ridge(self._histories.lengths, len(y), params) @ np.einsum("nd,nd->n", x, x)
        norms += ridge(self._histories.item_counts(len(y)), len(x), params) @ np.einsum("nd,nd->n", y, y)
        return float((observed + params.unobserved_weight * everywhere + norms) / max(len(self._histories.items), 1))


def _multiple(frequencies: NDArray[np.integer], other_size: int, params: MFParams) -> float:
    """ρ: what the rows' numbers of pairs, not all 0, are multiplied with to come nearest to their λ."""
    pairs = frequencies.astype(np.float64)
    return float(ridge(frequencies, other_size, params) @ pairs / (pairs @ pairs))


@contextmanager
def observed_pairs(histories: Histories, session: "SparkSession", scratch: Path) -> Iterator["DataFrame"]:
    """A data frame of SCHEMA with a row per event, in Parquet files that are removed when the block ends.

    Args:
        histories: of all users.
        session: of Spark.
        scratch: directory for the parts, which driver and executors see under this path.

    Raises:
        BakeoffError: executors can't read the parts.
        OSError: the parts can't be written.
    """
    with TemporaryDirectory(dir=scratch, prefix="pairs-") as name:
        folder = Path(name).resolve()
        for part, block in histories.blocks(ROWS_PER_PART):
            pairs = {"user": (part.start + block.rows).astype(np.int32), "item": block.items}
            pq.write_table(pa.table(pairs, SCHEMA), folder / f"part-{part.start:010d}.parquet")
        # With its scheme, since a cluster's default may be another file system.
        frame = session.read.schema("user int, item int").parquet(folder.as_uri())
        try:
            yield frame
        except Exception as error:
            if UNREADABLE not in str(error):
                raise
            raise BakeoffError(
                f"Executors of Spark can't read {folder}, where this process wrote the events for them: set "
                "BAKEOFF_SCRATCH to a directory that all of them see under the same path."
            ) from error


def factor_blocks(factors: "DataFrame", scratch: Path) -> Iterator[tuple[NDArray[np.int32], NDArray[np.float32]]]:
    """MLlib's factors, `id` and `features`, block by block and in any order: ids [n] and embeddings [n, d]."""
    with TemporaryDirectory(dir=scratch, prefix="factors-") as name:
        parts = Path(name).resolve() / "parts"  # Spark refuses a directory that exists
        factors.write.parquet(parts.as_uri())
        for path in sorted(parts.glob("*.parquet")):
            with pq.ParquetFile(path) as part:
                for block in part.iter_batches(FACTORS_PER_BLOCK, columns=["id", "features"]):
                    values = block["features"].flatten().to_numpy()
                    yield block["id"].to_numpy(), values.reshape(block.num_rows, -1)
