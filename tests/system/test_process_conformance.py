"""ProcessPool in the place of the standard executor: CPython's own process-pool tests."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

PROGRAM = pathlib.Path(__file__).with_name("process_executor_suite.py")

PRIVATE = "looks into the standard class: {}"

LEFT_OUT = {
    # They look at attributes of the standard class that are no part of an executor's protocol.
    "test_idle_process_reuse_multiple": PRIVATE.format("_processes, _max_workers"),
    "test_idle_process_reuse_one": PRIVATE.format("_processes, _max_workers"),
    "test_killed_child": PRIVATE.format("_processes; test_process_pool.py has it"),
    "test_max_tasks_per_child": PRIVATE.format("_processes; test_process_pool.py has it"),
    "test_max_tasks_per_child_defaults_to_spawn_context": PRIVATE.format("_mp_context"),
    "test_max_tasks_early_shutdown": PRIVATE.format("_max_tasks_per_child"),
    "test_python_finalization_error": PRIVATE.format("the fork of its manager's thread"),
    "test_saturation": PRIVATE.format("_max_workers, _call_queue"),
    "test_traceback": PRIVATE.format("_RemoteTraceback; ours is WorkerTraceback"),
    "test_context_manager_shutdown": PRIVATE.format("_processes"),
    "test_del_shutdown": PRIVATE.format("_executor_manager_thread"),
    "test_processes_terminate": PRIVATE.format("_processes"),
    "test_shutdown_no_wait": PRIVATE.format("_processes"),
    "test_shutdown_deadlock_pickle": PRIVATE.format("_executor_manager_thread"),
    "test_system_resources_for_workers": PRIVATE.format("_launch_processes"),
    "FailingInitializerTest.test_initializer": "sends a queue to workers by inheritance",
    # They run a script in an interpreter of its own that imports the class by its name from
    # concurrent.futures; test_process_ends.py has what they show, with this pool.
    "test_interpreter_shutdown": "imports the executor by name in a fresh interpreter",
    "test_submit_after_interpreter_shutdown": "imports the executor by name in a fresh interpreter",
    "test_hang_gh83386": "imports the executor by name in a fresh interpreter",
    # They want the whole pool to break, or another class of error; test_process_pool.py has ours.
    "test_cancel_futures": "wants calls to have started before the first process is up",
    "test_error_at_task_unpickle": "wants a broken pool; here the call gets the error itself",
    "test_exit_at_task_unpickle": "wants a broken pool; here the call gets the SystemExit itself",
    "test_error_during_result_pickle_on_worker": "wants the PicklingError; ours is ResultLost",
    "test_exit_during_result_pickle_on_worker": "wants the SystemExit; ours is ResultLost",
    "test_error_during_result_unpickle_in_result_handler": "wants a broken pool; ours is ResultLost",
    "test_exit_during_result_unpickle_in_result_handler": "wants a broken pool; ours is ResultLost",
}


@pytest.mark.system
@pytest.mark.timeout(240)
def test_the_interpreters_own_process_pool_tests_pass():
    """All but those above, each with its reason."""
    if importlib.util.find_spec("test") is None or not importlib.util.find_spec(
        "test.test_concurrent_futures"
    ):
        pytest.skip("this interpreter has no test.test_concurrent_futures")
    ended = subprocess.run(  # noqa: S603 - this very interpreter and our own program
        [sys.executable, "-W", "ignore", str(PROGRAM), *LEFT_OUT],
        check=False,
        capture_output=True,
        text=True,
        timeout=230,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]

    said = json.loads(ended.stdout.splitlines()[-1])
    wrong = {name: what for name, what in said.items() if what != "ok"}

    assert len(said) >= 30
    assert {k: v for k, v in wrong.items() if not v.startswith("skipped: ")} == {}
