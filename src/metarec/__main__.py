"""`python -m metarec`: the command line where the `metarec` script is not on the path."""

from metarec.app.cli import main

if __name__ == "__main__":
    main()
