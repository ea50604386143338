"""Who is next, without Ray: in order, retries first, offenders last and alone."""

from __future__ import annotations

from search.scenario.outcome import EvaluationRequest
from search.workers.contract import Ticket
from search.workers.ray.placement import Placement


def ticket_of(trial: int) -> Ticket:
    return Ticket(EvaluationRequest(trial=trial, values={}), retries_left=1)


def given(placement: Placement, running: list[Ticket], idle: int) -> list[int]:
    return [ticket.request.trial for ticket in placement.next_tickets(running, idle=idle)]


def test_candidates_go_out_in_order_as_far_as_workers_are_idle() -> None:
    placement = Placement()
    for trial in range(3):
        placement.add(ticket_of(trial))
    assert given(placement, [], 2) == [0, 1]
    assert given(placement, [ticket_of(0), ticket_of(1)], 0) == []
    assert len(placement) == 1


def test_what_is_tried_again_is_the_next() -> None:
    placement = Placement()
    placement.add(ticket_of(1))
    again = ticket_of(0).again()
    assert again is not None
    placement.add_first(again)
    assert given(placement, [], 1) == [0]


def test_an_offender_waits_for_everything_and_runs_alone() -> None:
    placement = Placement()
    offender = ticket_of(0).alone()
    placement.set_aside(offender)
    placement.add(ticket_of(1))
    assert given(placement, [], 2) == [1], "what waits goes first"
    assert given(placement, [ticket_of(1)], 1) == [], "nothing may run beside it"
    assert given(placement, [], 0) == [] and len(placement) == 1, "it waits for a worker"
    assert given(placement, [], 2) == [0]
    placement.add(ticket_of(2))
    assert given(placement, [offender], 1) == [], "nothing starts beside it"


def test_nothing_is_kept_after_clear() -> None:
    placement = Placement()
    placement.add(ticket_of(0))
    placement.set_aside(ticket_of(1))
    placement.clear()
    assert len(placement) == 0 and given(placement, [], 2) == []
