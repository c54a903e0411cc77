"""What is said at the end."""

import json
from dataclasses import replace

from holdfast.cli.map.summary import Summary

SUMMARY = Summary(
    done=9990,
    failed=10,
    skipped=0,
    not_started=0,
    unfinished=0,
    total_seen=10_000,
    skipped_failed=0,
    seconds=24.0,
    rate_per_s=416.7,
    attempts=10_100,
    limit=20,
    peak_in_flight=20,
    peak_threads=24,
    peak_fds=31,
    peak_rss_bytes=84_000_000,
    interrupted=None,
    exit_code=1,
    output="out.jsonl",
    recorded=0,
    errors_by_type={"ValueError": 7, "CallTimeout": 3},
)


def test_the_line_can_be_understood_without_the_documentation():
    """Counts, reasons, time, speed, and what it took."""
    assert SUMMARY.as_line() == (
        "9,990 done, 10 failed (7 ValueError, 3 CallTimeout) in 24.0 s (417/s); "
        "peaks: 20 in flight, 24 threads, 31 descriptors, 84 MB"
    )


def test_the_line_names_what_was_skipped_and_what_was_given_up():
    """Counts that are 0 are left out; figures that nobody has are, too."""
    line = replace(
        SUMMARY,
        skipped=5,
        unfinished=2,
        not_started=1,
        errors_by_type={"ValueError": 10},
        peak_threads=1,
        peak_fds=None,
    ).as_line()

    assert "10 failed (ValueError), 5 skipped, 2 unfinished, 1 not started in" in line
    assert line.endswith("peaks: 20 in flight, 1 thread, 84 MB")


def test_many_types_of_errors_are_cut_to_the_most_frequent():
    """One line stays one line."""
    kinds = {f"E{n}": n for n in range(1, 10)}

    line = replace(SUMMARY, failed=45, errors_by_type=kinds).as_line()

    assert "45 failed (9 E9, 8 E8, 7 E7, 6 E6, 15 of other types)" in line


def test_the_json_has_every_field_of_the_contract():
    """Programs rely on the names."""
    record = json.loads(SUMMARY.as_json())

    assert record["schema"] == 1
    assert set(record) == {
        *("schema", "done", "failed", "skipped", "skipped_failed", "not_started", "unfinished"),
        *("total_seen", "seconds", "rate_per_s", "attempts", "limit", "peak_in_flight"),
        *("peak_threads", "peak_fds", "peak_rss_bytes", "interrupted", "exit_code", "output"),
        "recorded",
        "errors_by_type",
    }
