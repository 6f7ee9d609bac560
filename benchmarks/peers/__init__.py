"""Systems that this project is measured beside. Each module has `train`; see worker.py for what it must do."""
