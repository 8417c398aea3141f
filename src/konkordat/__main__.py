"""`python -m konkordat` is `konkordat`."""

from konkordat.cli.main import run

if __name__ == "__main__":
    run()
