"""What the suite of hosts asks of every host, asked of the simulated one.

It claims runs, acts, their recovery and earlier attempts at them, time, events, and controls. Parking, schedules,
child runs, lists of runs, limits on acts and a disk that refuses writes belong to hosts with a store, and are not
claimed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from tests.conformance.hosts.test_attempts import (
    test_an_act_nobody_can_look_up_is_never_tried_again_blindly,
    test_what_an_earlier_attempt_completed_is_not_done_again,
)
from tests.conformance.hosts.test_crashes import (
    test_a_safe_act_is_repeated_after_a_crash_with_the_same_key,
    test_an_act_nobody_can_look_up_becomes_a_question,
    test_an_act_that_can_be_looked_up_is_looked_up_first,
)
from tests.conformance.hosts.test_runs import (
    test_a_caught_failure_lets_the_run_go_on,
    test_a_failed_act_faults_the_run,
    test_a_handler_that_breaks_fails_its_task_and_nothing_else,
    test_a_paused_run_starts_nothing_new_until_it_is_resumed,
    test_a_result_that_is_not_json_fails_the_act,
    test_a_run_goes_through_its_tasks_in_order_and_ends_with_the_last_output,
    test_an_unknown_handler_is_a_configuration_failure,
    test_branches_act_at_the_same_time,
    test_cancelling_a_run_stops_its_acts,
    test_controls_and_waits_of_unknown_runs_say_so,
    test_large_values_survive,
    test_nothing_is_performed_before_its_cause_is_on_disk,
    test_results_reach_the_run_as_a_replay_will_read_them,
    test_the_losers_of_a_competition_are_stopped,
)
from tests.conformance.hosts.test_time_and_events import (
    test_a_cancelled_timer_does_nothing,
    test_a_clock_that_jumps_forward_or_back_breaks_no_timer,
    test_a_timer_fires_when_it_is_due_and_not_sooner,
    test_an_event_is_taken_once_per_source_and_id,
    test_an_event_without_identity_is_refused,
    test_events_that_came_before_the_wait_opened_are_offered_oldest_first,
    test_waits_survive_a_restart,
    test_what_one_run_emits_another_hears,
)
from tests.simulation.conformance_world import SimulatedWorld

__all__ = [
    "test_a_cancelled_timer_does_nothing",
    "test_a_caught_failure_lets_the_run_go_on",
    "test_a_clock_that_jumps_forward_or_back_breaks_no_timer",
    "test_a_failed_act_faults_the_run",
    "test_a_handler_that_breaks_fails_its_task_and_nothing_else",
    "test_a_paused_run_starts_nothing_new_until_it_is_resumed",
    "test_a_result_that_is_not_json_fails_the_act",
    "test_a_run_goes_through_its_tasks_in_order_and_ends_with_the_last_output",
    "test_a_safe_act_is_repeated_after_a_crash_with_the_same_key",
    "test_a_timer_fires_when_it_is_due_and_not_sooner",
    "test_an_act_nobody_can_look_up_becomes_a_question",
    "test_an_act_nobody_can_look_up_is_never_tried_again_blindly",
    "test_an_act_that_can_be_looked_up_is_looked_up_first",
    "test_an_event_is_taken_once_per_source_and_id",
    "test_an_event_without_identity_is_refused",
    "test_an_unknown_handler_is_a_configuration_failure",
    "test_branches_act_at_the_same_time",
    "test_cancelling_a_run_stops_its_acts",
    "test_controls_and_waits_of_unknown_runs_say_so",
    "test_events_that_came_before_the_wait_opened_are_offered_oldest_first",
    "test_large_values_survive",
    "test_nothing_is_performed_before_its_cause_is_on_disk",
    "test_results_reach_the_run_as_a_replay_will_read_them",
    "test_the_losers_of_a_competition_are_stopped",
    "test_waits_survive_a_restart",
    "test_what_an_earlier_attempt_completed_is_not_done_again",
    "test_what_one_run_emits_another_hears",
]


@pytest_asyncio.fixture
async def world() -> AsyncIterator[SimulatedWorld]:
    """A fresh world for each test."""
    made = SimulatedWorld()
    yield made
    await made.close()
