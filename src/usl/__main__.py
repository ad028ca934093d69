"""``python -m usl``."""

import sys

from usl.cli import main

sys.exit(main())
