"""Where the repository's parts are."""

from pathlib import Path

TESTS = Path(__file__).parent.parent
ROOT = TESTS.parent
CITY = TESTS / "data" / "city.mkv"
GOLDEN = TESTS / "golden"
