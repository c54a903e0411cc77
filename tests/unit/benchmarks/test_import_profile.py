"""Reading ``-X importtime``."""

from benchmarks.import_profile import Loaded, parse

REPORT = """\
import time: self [us] | cumulative | imported package
import time:       150 |        150 |   _io
something that the program printed
import time:      2500 |       2650 | asyncio
"""


def test_lines_of_the_report_are_read_and_others_passed_over():
    """The head of the report and what the program prints are not modules."""
    assert parse(REPORT) == [Loaded("_io", 150 * 1e-6), Loaded("asyncio", 2500 * 1e-6)]
