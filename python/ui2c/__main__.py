"""python -m ui2c: the command `ui2c`."""

import sys

from ui2c.cli import main

sys.exit(main())
