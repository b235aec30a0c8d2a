"""`python -m scanweave`."""

import sys

from scanweave.cli.main import main

sys.exit(main())
