"""Systems that this project is compared with. Each module has `train`; see worker.py for what it must do."""
