"""Settings of the warm start."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from bakeoff.core.parameters import Frozen


class WarmStartParams(Frozen):
    """Whether a training starts from the model in production, and when it is a full fit all the same."""

    mode: Literal["off", "auto"] = "off"
    """`off`: every training is a full fit. `auto`: MF and the networks start from what `bakeoff parents` copied of the
    version in production; a full fit where there is none, or it was trained with other settings or features."""
    epoch_share: Annotated[float, Field(gt=0, le=1)] = 0.08
    """Epochs of a warm fit, as a share of the model's max_epochs; one at least."""
    refit_every: PositiveInt = 4
    """Every so many warm fits since the last full one, what is shipped is trained from scratch, for as many epochs as
    the full fit chose. No effect at max_days or above."""
    margin: NonNegativeFloat = 0.002
    """NDCG@10 on validation by which a warm fit may lie below the last full fit, measured anew on the same users;
    beyond it the model is fitted in full."""
    max_days: PositiveInt = 7
    """Days between full fits, by the newest events that they learned from; also the most trainings from one full fit to
    the next."""
