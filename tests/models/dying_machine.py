"""`bakeoff worker` as the command does it, with a checkpoint after every epoch; worker 1 is killed amid one."""

import dying_worker

from bakeoff.cli.app import main
from bakeoff.experiments import workers

if __name__ == "__main__":
    workers.serve = dying_worker.serve_and_die
    main()
