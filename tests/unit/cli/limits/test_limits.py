"""``holdfast limits``: what it prints, and that the settings do what they say."""

import configparser
import json
import shutil
import subprocess

import pytest

from holdfast.cli.limits.command import limits_command
from holdfast.cli.limits.settings import EMITTERS, raising, settings
from holdfast.watch.capacity import AGENT, Need

yaml = pytest.importorskip("yaml", reason="reads what was printed")


@pytest.fixture
def run(capsys):
    """Run the verb; returns what it printed."""

    def run_limits(*options):
        assert limits_command.main([*options], standalone_mode=False) == 0
        return capsys.readouterr().out

    return run_limits


def test_each_limit_stands_with_its_source_and_its_room(run):
    """And the tightest of all in the last line."""
    out = run()

    assert "soft RLIMIT_NOFILE" in out
    assert "agents" in out
    assert out.splitlines()[-1].startswith("room for")
    assert "\x1b" not in out


def test_as_json_it_can_be_read(run):
    """With the assumption about one agent."""
    told = json.loads(run("--json", "--descriptors", "20", "--memory", "0"))

    assert told["agent"]["descriptors"] == 20
    assert told["agent"]["memory_bytes"] == 0
    assert {"name", "value", "bound", "source", "agents"} <= told["limits"][0].keys()


def test_json_and_settings_exclude_each_other(capsys):
    """Both are for a program that reads."""
    import click

    with pytest.raises(click.UsageError, match="ask for one of them"):
        limits_command.main(["--json", "--emit", "compose"], standalone_mode=False)


def test_compose_has_ulimits(run):
    """Of the service, as its schema has them."""
    service = yaml.safe_load(run("--emit", "compose", "--agents", "10000"))["services"]["agent"]

    assert service["ulimits"]["nofile"] == {"soft": 131_072, "hard": 131_072}
    assert service["pids_limit"] == 65_536
    assert service["mem_limit"] == f"{512 + 10_000 * 16}m"


def test_kubernetes_has_no_field_for_them_and_the_command_raises_them(run):
    """What has no field is said in comments."""
    text = run("--emit", "kubernetes")
    (container,) = yaml.safe_load(text)["spec"]["containers"]

    assert "no field for ulimits" in text
    assert "podPidsLimit" in text
    assert "ulimits" not in container
    assert container["command"][:2] == ["sh", "-c"]
    assert "$(" not in container["command"][2]  # Kubernetes would take it for a variable of its own
    assert container["resources"]["limits"]["memory"] == f"{512 + 16_000}Mi"


def test_systemd_has_a_section_of_its_own(run):
    """With numbers that it reads."""
    parser = configparser.ConfigParser()
    parser.optionxform = str
    parser.read_string(run("--emit", "systemd"))

    assert parser["Service"]["LimitNOFILE"] == "65536"
    assert parser["Service"]["TasksMax"] == "8192"


def test_a_dockerfile_has_an_entry_point_as_a_list(run):
    """And says what `docker run` needs."""
    text = run("--emit", "dockerfile")
    entry = next(line for line in text.splitlines() if line.startswith("ENTRYPOINT "))

    assert json.loads(entry.removeprefix("ENTRYPOINT "))[:2] == ["sh", "-c"]
    assert "--ulimit nofile=65536:65536" in text


@pytest.mark.parametrize("kind", EMITTERS)
def test_few_agents_get_no_less_than_is_usual(kind):
    """Sixty-five thousand descriptors, four thousand tasks."""
    it = settings(1, AGENT)

    assert (it.descriptors, it.tasks) == (65_536, 4096)
    assert "65536" in EMITTERS[kind](it)


def test_many_agents_get_twice_what_they_need():
    """Rounded up to a power of two."""
    it = settings(20_000, Need(threads=2, processes=0, descriptors=10, memory_bytes=1 << 20))

    assert it.descriptors == 524_288
    assert it.tasks == 131_072
    assert it.memory_mb == 20_512


@pytest.mark.system
@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
@pytest.mark.parametrize(
    ("before", "hard", "wanted", "after"),
    [(64, 500, 300, 300), (64, 200, 300, 200), (400, 500, 300, 400)],
)
def test_the_line_of_the_entry_point_raises_the_soft_limit(shell, before, hard, wanted, after):
    """As far as the hard one, and never lowers it; then the program runs with its arguments."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    line = f'ulimit -Sn {before}; ulimit -Hn {hard}; exec {shell} -c "$0" "$@"'
    answer = subprocess.run(  # noqa: S603 - a shell with lines of ours
        [  # noqa: S607 - of the system
            "sh",
            "-c",
            line,
            raising(wanted),
            "--",
            "sh",
            "-c",
            "echo $(ulimit -Sn) $0 $1",
            "a b",
            "c",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )

    assert answer.stdout == f"{after} a b c\n"
