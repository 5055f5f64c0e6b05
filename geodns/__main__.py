"""`python -m geodns` is the same command as `geodns`."""

from geodns.cli.main import main

if __name__ == "__main__":
    main()
