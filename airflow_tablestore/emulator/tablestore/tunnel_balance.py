"""Who shall hold which channel: pure.

Free channels go to those who hold fewest. When somebody then holds two more than somebody else, one is to be given
back; channels that are on their way back are counted for whoever will get them, so nothing goes to and fro.
Source for the idea: the official clients' documents say that the service balances; how it does is not published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moves:
    """Channels to give out (channel to client), and channels to ask back."""

    given: Mapping[str, str]
    asked_back: Sequence[str]


def balance(held: Mapping[str, Sequence[str]], free: Sequence[tuple[str, str]], returning: int) -> Moves:
    """What is to be done so that everybody holds about as much.

    :param held: by client, the open channels that it holds; those who hold none are there too.
    :param free: channels that nobody holds, each with the client that is wanted for it, or "".
    :param returning: how many channels were asked back already.
    """
    given: dict[str, str] = {}
    if not held:
        return Moves(given, ())
    loads = {client: len(channels) for client, channels in held.items()}
    for channel, wanted in free:
        client = wanted if wanted in loads else _poorest(loads)
        given[channel] = client
        loads[client] += 1
    for _ in range(returning):
        loads[_poorest(loads)] += 1
    left = {client: list(channels) for client, channels in held.items()}
    asked_back: list[str] = []
    while True:
        rich = max(loads, key=lambda client: (loads[client], client))
        poor = _poorest(loads)
        if loads[rich] - loads[poor] < 2 or not left[rich]:
            return Moves(given, asked_back)
        asked_back.append(left[rich].pop())
        loads[rich] -= 1
        loads[poor] += 1


def _poorest(loads: Mapping[str, int]) -> str:
    return min(loads, key=lambda client: (loads[client], client))
