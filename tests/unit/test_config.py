"""Settings from files and from the environment."""

import re
from pathlib import Path

import pytest

from holdfast.config import Config, load
from holdfast.config.load import _names


def config(tmp_path, text="", environ=None, name="holdfast.toml"):
    """What is set by this file and this environment."""
    if text:
        (tmp_path / name).write_text(text)
    return load(environ=environ or {}, folder=tmp_path)


def test_without_anything_set_all_is_as_the_defaults_say(tmp_path):
    """No file is needed."""
    assert config(tmp_path) == Config()


def test_a_file_of_its_own_sets_what_it_names(tmp_path):
    """And leaves the rest alone."""
    found = config(
        tmp_path,
        "grace = 5\n[budget]\nthreads = 40\n[pools.llm]\nsize = 7\ntimeout = 2.5\n[monitor]\nenabled = false\n",
    )

    assert found.grace == 5.0
    assert found.budget.threads == 40
    assert (found.pools.llm.size, found.pools.llm.timeout) == (7, 2.5)
    assert found.monitor.enabled is False
    assert found.pools.db == Config().pools.db


def test_the_projects_own_file_has_a_table_for_it(tmp_path):
    """Where there is no file of its own."""
    text = "[project]\nname = 'x'\n[tool.holdfast]\nshare = 'agents'\n[tool.other]\nx = 1\n"

    assert config(tmp_path, text, name="pyproject.toml").share == "agents"


def test_a_file_of_its_own_is_taken_before_the_projects(tmp_path):
    """One of them, not a mixture."""
    (tmp_path / "pyproject.toml").write_text("[tool.holdfast]\ngrace = 1\nshare = 'x'\n")

    found = config(tmp_path, "grace = 2\n")

    assert (found.grace, found.share) == (2.0, "")


def test_the_environment_is_taken_before_a_file(tmp_path):
    """It is what an operator changes."""
    environ = {
        "HOLDFAST_GRACE": "9.5",
        "HOLDFAST_POOLS_DB_SIZE": "12",
        "HOLDFAST_GOVERNOR_ENABLED": "no",
        "HOLDFAST_BUDGET_MEMORY_BYTES": "1_000_000",
        "HOLDFAST_SHARE": "agents",
        "OTHER": "x",
    }

    found = config(tmp_path, "grace = 2\n[pools.db]\nmax_queue = 3\n", environ)

    assert found.grace == 9.5
    assert (found.pools.db.size, found.pools.db.max_queue) == (12, 3)
    assert found.governor.enabled is False
    assert found.budget.memory_bytes == 1_000_000
    assert found.share == "agents"


def test_the_environment_can_name_the_file(tmp_path):
    """Wherever it is."""
    (tmp_path / "other.toml").write_text("grace = 3\n")

    assert (
        config(tmp_path, "grace = 2\n", {"HOLDFAST_CONFIG": str(tmp_path / "other.toml")}).grace
        == 3
    )


def test_a_file_that_was_named_and_is_not_there_is_an_error(tmp_path):
    """Silence would be the defaults."""
    with pytest.raises(FileNotFoundError, match=r"nowhere\.toml"):
        load(tmp_path / "nowhere.toml", environ={})


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("grase = 1", "'grase'; do you mean 'grace'?"),
        ("[pools.lm]\nsize = 1", "'pools.lm'; do you mean 'pools.llm.size'"),
        ("[pools.llm]\nmaxqueue = 1", "'pools.llm.maxqueue'; do you mean 'pools.llm.max_queue'?"),
        ("[monitor]\nzzz = 1", "'monitor.zzz'"),
    ],
)
def test_a_key_that_there_is_not_is_refused_with_the_nearest(tmp_path, text, near):
    """And with the file in which it stands."""
    with pytest.raises(ValueError, match="there is no setting") as caught:
        config(tmp_path, text)

    assert near.rstrip("'?") in str(caught.value)
    assert "holdfast.toml" in str(caught.value)


def test_a_variable_that_there_is_not_is_refused_with_the_nearest(tmp_path):
    """A typo in a deployment is found when it starts."""
    with pytest.raises(ValueError, match="do you mean 'HOLDFAST_POOLS_LLM_SIZE'"):
        config(tmp_path, environ={"HOLDFAST_POOL_LLM_SIZE": "3"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("grace = 'long'", "grace must be a number, not 'long'"),
        ("grace = true", "grace must be a number, not True"),
        ("fd_target = 1.5", "fd_target must be a whole number, not 1.5"),
        ("[monitor]\nenabled = 1", "monitor.enabled must be true or false, not 1"),
        ("[pools.llm]\nsize = 0", "size must be a whole number of at least 1, not 0"),
        ("[monitor]\ncaution = 0.95", "caution < critical"),
        ("pools = 3", "pools is a table of settings, not 3"),
        ("grace = ", "is not TOML"),
    ],
)
def test_a_value_that_it_can_not_have_is_refused_with_where_it_stands(tmp_path, text, said):
    """In one sentence."""
    with pytest.raises(ValueError, match="holdfast") as caught:
        config(tmp_path, text)

    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["many", "", "1.5"])
def test_a_variable_with_a_value_that_it_can_not_have_is_refused(tmp_path, text):
    """With its name."""
    with pytest.raises(ValueError, match="HOLDFAST_BUDGET_THREADS must be a whole number"):
        config(tmp_path, environ={"HOLDFAST_BUDGET_THREADS": text})


def test_every_setting_has_a_variable_of_its_own():
    """No two of them share a name."""
    names = _names()

    assert len(set(names)) == len(set(names.values())) > 30


def test_the_documentation_names_every_setting_with_its_default():
    """And none that there is not."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "runtime.md").read_text()
    rows = re.findall(r"^\| `([a-z_.]+)` \| `(HOLDFAST_[A-Z_]+)` \| (.+) \|$", text, re.MULTILINE)

    found = {}
    for key, name, default in rows:
        value = Config()
        for part in key.split("."):
            value = getattr(value, part)
        assert name == "HOLDFAST_" + key.replace(".", "_").upper()
        if value in {None, ""} and not isinstance(value, bool | int | float):
            assert default in {"detected", "not set"}
        elif isinstance(value, bool):
            assert default == str(value).lower()
        else:
            assert float(default) == value
        found[name] = tuple(key.split("."))
    assert found == _names()
