"""Trains on a Ray cluster of two nodes, of which a worker is killed; run in network and process namespaces of its own.

TensorFlow's gRPC servers listen on all interfaces and answer everybody: nobody else is in the namespace. Its processes
end with it.
"""

import atexit
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

import psutil
import small_split

from bakeoff.core.workspace import Workspace
from bakeoff.stages import train

EPOCHS = 40
PARAMS = small_split.PARAMS.model_copy(
    update={"softmax": small_split.PARAMS.softmax.model_copy(update={"max_epochs": EPOCHS, "users_per_batch": 13})}
)
"""Long enough to lose a worker on the way, in two batches each."""

PORT, TOKEN = 6379, "of the test, and of nobody else ......"


def main(folder: Path) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.environ |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_ADDRESS": f"127.0.0.1:{PORT}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "300",
        "OMP_NUM_THREADS": "1",
    }
    node = ["ray", "start", "--node-ip-address=127.0.0.1", "--num-cpus=1", "--disable-usage-stats"]
    sockets = mkdtemp(prefix="ray-")  # their paths have 107 bytes at most
    atexit.register(shutil.rmtree, sockets, ignore_errors=True)
    head = ["--head", f"--port={PORT}", f"--temp-dir={sockets}", "--include-dashboard=false"]
    for role in (head, [f"--address=127.0.0.1:{PORT}"]):
        subprocess.run([*node, *role], check=True, stdout=subprocess.DEVNULL)
    training = subprocess.Popen([sys.executable, __file__, str(folder), "train"])
    checkpoint = folder / ".bakeoff/checkpoints/softmax/checkpoint.npz"
    workers = []
    while not checkpoint.exists() or len(workers) < 2:
        assert training.poll() is None
        workers = [each for each in psutil.process_iter(["cmdline"]) if "RayTrainWorker" in str(each.info["cmdline"])]
        time.sleep(0.02)
    workers[1].kill()
    assert training.wait() == 0


if __name__ == "__main__":
    if sys.argv[2:]:
        train.run(PARAMS, Workspace(Path(sys.argv[1])), "softmax")
    else:
        main(Path(sys.argv[1]))
