"""Stage `export@<model>`: models/<model>/trained → models/<model>/saved_model, the graph that serving loads."""

from bakeoff.core.cost import measure
from bakeoff.core.files import replaced
from bakeoff.core.workspace import Workspace
from bakeoff.models.base.storage import read_stored, why_skipped, write_skipped


def run(workspace: Workspace, model: str) -> None:
    """Write the SavedModel of a trained model, with its items, features and users.

    Reads models/<model>/trained and artifacts/training/<model>.json; writes models/<model>/saved_model and
    artifacts/cost/export/<model>.json. A model that training skipped leaves the reason and nothing else.

    Raises:
        BakeoffError: there is no trained model, or a file of it is damaged.
    """
    reason = why_skipped(workspace, model)
    if reason is None:
        read_stored(workspace.trained(model))  # refuses a model that is not trained before a directory is made
    with measure(workspace, f"export/{model}"), replaced(workspace.saved_model(model)) as folder:
        if reason is not None:
            write_skipped(folder, model, reason)
            print(f"{model} is skipped: {reason}")
            return
        from bakeoff.models.base.export import export_trained  # imports TensorFlow: errors above cost no seconds

        export_trained(workspace.trained(model), folder)
    print(f"{model}: exported to {workspace.saved_model(model)}")
