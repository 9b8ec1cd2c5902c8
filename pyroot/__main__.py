"""Run the command line: ``python -m pyroot``."""

from pyroot._start import start

if __name__ == "__main__":
    start()
