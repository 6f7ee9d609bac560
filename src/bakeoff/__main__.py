"""`python -m bakeoff`: the command line."""

from bakeoff.cli.app import main

main()
