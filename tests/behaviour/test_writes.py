"""An acknowledged write is visible: on the wire before the response, on every worker, over UDP and TCP; and it survives kill -9."""

from __future__ import annotations

import signal
import threading

import pytest

from tests.support.asking import ask, ask_quietly
from tests.support.node import MakeNode, Node
from tests.support.waiting import wait_until

ZONE = """
'': {type: NS, values: [ns1.example.com.]}
ns1: {type: A, value: 192.0.2.53}
"""


@pytest.fixture
def node(make_node: MakeNode) -> Node:
    """A node with four workers, so that a write that reached only some of them is seen."""
    node = make_node(zones={"example.com.yaml": ZONE}, settings={"DNS_WORKERS": "4"})
    node.start()
    return node


@pytest.mark.timing  # two seconds are all that a write waits for its adoption
def test_a_record_answers_before_the_response_to_its_write(node: Node) -> None:
    for round_number in range(1, 41):
        address = f"192.0.2.{round_number}"
        response = node.put("/api/v1/zones/example.com/records/fresh/A", {"ttl": 30, "value": address})
        assert response.status in (200, 201), response.body
        assert response.body["applied"] is True
        for _ in range(12):
            assert ask(node.dns_port, "fresh.example.com") == [address]
        for _ in range(4):
            assert ask(node.dns_port, "fresh.example.com", tcp=True) == [address]


@pytest.mark.timing
def test_no_answer_is_older_than_an_answer_before_it(node: Node) -> None:
    """One writer counts up; readers on many sockets never see the count go back after a write was acknowledged."""
    acknowledged = 0
    done = threading.Event()
    complaints: list[str] = []

    def read() -> None:
        while not done.is_set():
            floor = acknowledged
            values = ask(node.dns_port, "count.example.com")
            if floor and (not values or int(values[0].rsplit(".", 1)[1]) < floor):
                complaints.append(f"{values} after {floor} was acknowledged")

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    try:
        for number in range(1, 101):
            assert node.put("/api/v1/zones/example.com/records/count/A", {"value": f"192.0.2.{number}"}).body["applied"]
            acknowledged = number
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert complaints == []


def test_the_reply_comes_from_a_dataplane_that_never_waits_for_control(node: Node) -> None:
    """Control is stopped (SIGSTOP): answers go on over UDP and TCP."""
    node.wait_served(node.put("/api/v1/zones/example.com/records/still/A", {"value": "192.0.2.9"}))
    assert node.process is not None
    node.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(50):
            assert ask(node.dns_port, "still.example.com") == ["192.0.2.9"]
        assert ask(node.dns_port, "still.example.com", tcp=True) == ["192.0.2.9"]
    finally:
        node.process.send_signal(signal.SIGCONT)


def test_kill_of_the_dataplane_loses_no_acknowledged_write(node: Node) -> None:
    for number in range(1, 21):
        node.wait_served(node.put(f"/api/v1/zones/example.com/records/kept-{number}/A", {"value": "192.0.2.9"}))
    node.kill_dataplane()
    wait_until(lambda: ask_quietly(node.dns_port, "kept-20.example.com") == ["192.0.2.9"], within_s=60, what="the restarted dataplane")
    for number in range(1, 21):
        assert ask(node.dns_port, f"kept-{number}.example.com") == ["192.0.2.9"]
