"""`python -m minirag`: the command line."""

from __future__ import annotations

import sys

from minirag.cli import main

sys.exit(main())
