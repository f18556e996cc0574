"""`python -m plait`: the same as the `plait` command."""

from plait.cli.main import run

if __name__ == "__main__":
    run()
