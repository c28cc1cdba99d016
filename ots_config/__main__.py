"""``python -m ots_config``: the same as the command ``ots-config``."""

from __future__ import annotations

import sys

from ots_config.cli import main

if __name__ == "__main__":
    sys.exit(main())
