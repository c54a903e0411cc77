"""``python -m holdfast.testing.model_server``."""

import sys

from holdfast.testing.model_server._command import main

if __name__ == "__main__":
    sys.exit(main())
