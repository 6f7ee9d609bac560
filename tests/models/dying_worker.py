"""Workers that die, or find another gone. Imports no TensorFlow until it is told who it is."""

import os
import signal
import time
from importlib import import_module

from bakeoff.core.errors import BakeoffError
from bakeoff.experiments import workers

DIES_IN_EPOCH = 3


def serve_and_die(connection, task):
    """As `workers.serve`, with a checkpoint after every epoch; worker 1 is killed amid one."""

    def load(name):
        stage = import_module(name)
        import_module("bakeoff.experiments.checkpoints").SECONDS_BETWEEN = 0
        if task.index == 1:
            _make_mortal(stage.SoftmaxTrainer, divided=task.params.workers.divide_items_from == 1)
        return stage

    workers.import_module = load
    workers.serve(connection, task)


def serve_and_miss(connection, task):
    """Worker 0 finds worker 1 gone, which tells why a little later."""
    if task.index == 0:
        connection.send(workers.LostError(f"{task.name} lost worker 1"))
    else:
        time.sleep(1)
        connection.send(BakeoffError(f"{task.name} found no room"))


def serve_and_miss_only(connection, task):
    """Worker 0 finds worker 1 gone, which ends well a little later, as if it had not been."""
    if task.index == 0:
        connection.send(workers.LostError(f"{task.name} lost worker 1"))
    else:
        time.sleep(1)
        connection.send(None)


def _make_mortal(trainer, divided):
    run_epoch, epochs = trainer.run_epoch, []

    def run_or_die(self):
        epochs.append(self)
        if divided:
            tower = self._model.item_tower
            assert tower.id_embeddings.shape[0] == tower.division.num_own < tower.division.num_rows
        if len(epochs) == DIES_IN_EPOCH:
            step = self._step
            # After the first step, which the other took too: its checkpoint of the last epoch is written.
            self._step = lambda batch: (step(batch), os.kill(os.getpid(), signal.SIGKILL))
        return run_epoch(self)

    trainer.run_epoch = run_or_die
