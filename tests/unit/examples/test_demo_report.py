"""What the demo says in the end."""

import json

import demo_report
import pytest

SUMMARY = {
    "done": 998,
    "failed": 2,
    "seconds": 2.51,
    "rate_per_s": 398.4,
    "peak_in_flight": 50,
    "peak_threads": 11,
    "peak_fds": 73,
    "peak_rss_bytes": 56_000_000,
}


@pytest.fixture
def answers(tmp_path):
    """Four answers, two of them with what was expected before them, and an error."""
    path = tmp_path / "answers.jsonl"
    lines = [
        {"key": key, "value": {"question": f"{key}?", "answer": f"{key}!", "sources": sources}}
        for key, sources in [("a", ["x", "y"]), ("b", ["y"]), ("c", []), ("d", ["x"])]
    ]
    lines.append({"key": "e", "error": {"type": "ModelError", "message": "busy"}})
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_the_hit_rate_is_the_share_of_answers_that_had_the_expected_entry(answers):
    """An error is no answer."""
    results = demo_report.read_results(answers, dict.fromkeys("abcde", "x"))

    assert (results.answered, results.hits, results.hit_rate) == (4, 2, 0.5)
    assert results.errors == {"ModelError: busy": 1}


def test_samples_come_in_the_tickets_order_whatever_the_answers_order(answers):
    """The first, and others at equal distances."""
    expected = dict.fromkeys("dcbafg", "x")
    expected["e"] = "x"

    results = demo_report.read_results(answers, expected)

    assert [sample["question"] for sample in results.samples] == ["d?", "a?"]


def test_no_file_of_answers_is_no_answer(tmp_path):
    """The run may have ended before the first."""
    results = demo_report.read_results(tmp_path / "none.jsonl", {"a": "x"})

    assert (results.answered, results.hit_rate, results.samples) == (0, 0.0, [])


@pytest.mark.parametrize(
    ("count", "chosen"),
    [(0, []), (1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (1_000, [0, 334, 668])],
)
def test_at_most_three_samples_are_chosen(count, chosen):
    """Over the whole of the tickets."""
    ids = [str(number) for number in range(count)]

    assert demo_report.sample_ids(ids) == [str(number) for number in chosen]


def test_the_report_can_be_read_without_the_code(answers):
    """Each figure says what it is of."""
    results = demo_report.read_results(answers, dict.fromkeys("abcde", "x"))

    text = demo_report.describe(SUMMARY, results, "a small model")

    assert "with a small model" in text
    for words in (
        "1,000, at most 50 at once",
        "2.5 s, 398 answers per second",
        "11 for all sessions together",
        "73 files and connections",
        "56 MB",
        "50% of the answers",
        "Q: a?\n  looked up: x, y\n  A: a!",
    ):
        assert words in text


def test_a_figure_that_the_system_does_not_give_is_not_guessed(answers):
    """It says so."""
    unknown = dict.fromkeys(("peak_threads", "peak_fds", "peak_rss_bytes"))

    text = demo_report.describe({**SUMMARY, **unknown}, demo_report.Results(), "a model")

    assert text.count("not measured on this system") == 3
