"""A dataplane that is offered far more than it can answer goes on answering as much as it can, rightly, and is itself again soon after."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from tests.support.node import Node
from tests.support.overload import TIMES, run_rounds

ZONE = "'': {type: NS, values: [ns1.example.com.]}\nns1: {type: A, value: 192.0.2.53}\nwww: {type: A, value: 192.0.2.80}\n"
# One round differs from the next by a tenth, as much as the machine does meanwhile.
ROUNDS = 15
LEAST_KEPT = 0.95
PROMPT_AFTER_S = 1.0


@pytest.mark.soak
@pytest.mark.timing
@pytest.mark.timeout(300)
def test_three_times_too_many_queries_cost_no_answer_that_could_be_given_and_are_forgotten_within_a_second(tmp_path: Path) -> None:
    # A core of its own, so that whoever asks takes none of its tenth.
    node = Node(tmp_path, zones={"example.com.yaml": ZONE}, settings={"DNS_WORKERS": "1"}, command=("taskset", "-c", "0"))
    try:
        node.start()
        (dataplane,) = node.dataplanes()
        rounds = list(run_rounds(node.dns_port, dataplane.pid, "www.example.com", ROUNDS))
    finally:
        node.stop()
    for found in rounds:
        most, kept = found.most.answers_per_s, found.kept
        print(f"offered {found.times:.2f} times {most:.0f}/s; kept {kept:.2f}; prompt after {found.recovery_s:.2f} s")
    assert statistics.median(found.times for found in rounds) >= 0.95 * TIMES, "whoever asks was too slow for an overload"
    assert [(found.most.wrong, found.over.wrong) for found in rounds] == [(0, 0)] * ROUNDS
    assert statistics.median(found.kept for found in rounds) >= LEAST_KEPT
    assert max(found.recovery_s for found in rounds) <= PROMPT_AFTER_S
