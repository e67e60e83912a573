"""`python -m meshd` and the console script."""

from __future__ import annotations

from meshd.cli import main

if __name__ == "__main__":
    main()
