"""A power cut's end, simulated: a fleet boots within seconds, every push channel is new, the hub is slow.

Every device has one write to make. The hub takes so many a second and answers 429 to the rest, without saying
when to come back. What happens then is decided by each client's policy alone: ours is `nhagent.retry.backoff`
itself, the others are those of the official clients, by their source.

With ``--push`` it is the push service that restarts: every connection ends in the same second, and each
device comes back as `nhagent.channels.losses` says. Where the service has forgotten them all, each gets a new
push channel as it comes back, and must tell the hub.

    python fleet_simulation.py                        # 100,000 devices, hub at 1/300 of them a second
    python fleet_simulation.py --rate-divisor 60 --retry-after 10 --json
    python fleet_simulation.py --plot fleet.svg       # needs matplotlib
    python fleet_simulation.py --push                 # the push service restarts
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from nhagent.channels.losses import Cause, pause_after
from nhagent.errors import HubUnavailable, Throttled
from nhagent.retry import backoff

BOOT_SECONDS = 20.0
HOURS_SECONDS = 4 * 3600.0
"""How old connections to a push service are when it restarts."""
WINDOW_SECONDS = 300
"""Over which the mean of connections is taken."""
AWAY_SECONDS = (0.0, 30.0, 300.0, 3600.0)
"""How long a push service is away when it restarts."""
RETRIES = 3
"""Retries of each official client, after which it gives up."""

Policy = Callable[[int, float | None, Random], float | None]
"""Tries that failed before, Retry-After or None, chance: seconds until the next try; None: gives up."""


def nhagent(tries: int, retry_after: float | None, chance: Random) -> float | None:
    """Ours, in the background: it goes on until it has succeeded."""
    return backoff.delay(Throttled("429", retry_after=retry_after), tries, chance.random())


def dotnet(tries: int, retry_after: float | None, chance: Random) -> float | None:
    """.NET: three retries after 2, 4 and 8 s, or Retry-After up to a minute, and up to 0.08 s more."""
    if tries >= RETRIES:
        return None
    wait = 2.0 ** (tries + 1) if retry_after is None else min(retry_after, 60.0)
    return wait + 0.08 * chance.random()


def java(tries: int, retry_after: float | None, chance: Random) -> float | None:  # noqa: ARG001
    """Java: three retries, a second apart."""
    return None if tries >= RETRIES else 1.0 if retry_after is None else retry_after


def javascript(tries: int, retry_after: float | None, chance: Random) -> float | None:  # noqa: ARG001
    """JavaScript: a 429 is tried again only where it has a Retry-After, three times."""
    return None if retry_after is None or tries >= RETRIES else retry_after


def android(tries: int, retry_after: float | None, chance: Random) -> float | None:  # noqa: ARG001
    """Android: three retries, ten seconds apart after a 429."""
    return None if tries >= RETRIES else 10.0 if retry_after is None else retry_after


def ios(tries: int, retry_after: float | None, chance: Random) -> float | None:
    """iOS: three retries after 10 s, 5 min and 20 min, half of each at random."""
    if tries >= RETRIES:
        return None
    wait = (10.0, 300.0, 1200.0)[tries]
    return wait / 2 + wait / 2 * chance.random() if retry_after is None else retry_after


POLICIES: dict[str, Policy] = {
    "nhagent": nhagent,
    "dotnet": dotnet,
    "java": java,
    "javascript": javascript,
    "android": android,
    "ios": ios,
}


@dataclass
class Outcome:
    """What became of a fleet.

    Attributes:
        devices: how many there are.
        registered_at: seconds after the power came back, for each device that got through, in order.
        requests: how many the hub saw, in each second.
        rate: requests a second that it takes.
    """

    devices: int
    rate: float
    registered_at: list[float] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)

    def numbers(self) -> dict[str, float | None]:
        """The four that count; a time is None where so many never got through."""
        ideal = self.devices / self.rate
        rank = -(-self.devices * 999 // 1000)
        t999 = self.registered_at[rank - 1] if len(self.registered_at) >= rank else None
        return {
            "never_registered_pct": round(100 * (1 - len(self.registered_at) / self.devices), 3),
            "requests_per_device": round(sum(self.requests) / self.devices, 3),
            "t999_vs_ideal": None if t999 is None else round(t999 / ideal, 3),
            "peak_vs_limit": round(max(self.requests) / self.rate, 2),
        }


def simulate(
    policy: Policy, devices: int, rate: float, *, retry_after: float | None = None, seed: int = 1
) -> Outcome:
    """Let a fleet boot.

    Args:
        policy: what each device does when it is refused.
        devices: how many there are.
        rate: requests a second that the hub takes, and as many at once.
        retry_after: what it says to the others, or None.
        seed: of all chance.
    """
    chance = Random(seed)  # noqa: S311 - nothing secret depends on it
    outcome = Outcome(devices, rate)
    boots = [chance.uniform(0, BOOT_SECONDS) for _ in range(devices)]
    return served(outcome, boots, policy, retry_after, chance)


def served(
    outcome: Outcome, begin: Sequence[float], policy: Policy, retry_after: float | None, chance: Random
) -> Outcome:
    """Let each device make its write from its own moment on, until the hub takes it or it gives up."""
    rate = outcome.rate
    due = [(at, device) for device, at in enumerate(begin)]
    heapq.heapify(due)
    tries = [0] * len(due)
    left, then = rate, 0.0
    while due:
        now, device = heapq.heappop(due)
        left, then = min(rate, left + (now - then) * rate), now
        second = int(now)
        outcome.requests += [0] * (second + 1 - len(outcome.requests))
        outcome.requests[second] += 1
        if left >= 1:
            left -= 1
            outcome.registered_at.append(now)
            continue
        wait = policy(tries[device], retry_after, chance)
        tries[device] += 1
        if wait is not None:
            heapq.heappush(due, (now + wait, device))
    return outcome


def reconnections(devices: int, away: float, *, seed: int = 1) -> tuple[list[float], float]:
    """Let a push service end every connection and be away for some time.

    Args:
        devices: how many are connected.
        away: seconds until it takes connections again.
        seed: of all chance.

    Returns:
        The seconds after which each device is back, in order, and how many attempts a device has made.
    """
    chance = Random(seed)  # noqa: S311 - nothing secret depends on it
    back: list[float] = []
    attempts = 0
    for _ in range(devices):
        at, failures = pause_after(Cause.ENDED, 0, chance.random(), age=HOURS_SECONDS), 1
        attempts += 1
        while at < away:
            at += pause_after(Cause.UNREACHABLE, failures, chance.random(), was_ended=True)
            failures += 1
            attempts += 1
        back.append(at)
    return sorted(back), attempts / devices


def told(arrivals: Sequence[float], rate: float, *, seed: int = 1) -> Outcome:
    """Let each device tell the hub of its new channel as soon as it has it.

    Args:
        arrivals: when each has it.
        rate: requests a second that the hub takes, and as many at once.
        seed: of all chance.
    """
    chance = Random(seed)  # noqa: S311 - nothing secret depends on it
    outcome = Outcome(len(arrivals), rate)
    return served(outcome, list(arrivals), nhagent, None, chance)


def push_numbers(devices: int, rate: float, seed: int) -> dict[str, dict[str, float | None]]:
    """What a restart of the push service comes to, by how long it was away."""
    numbers: dict[str, dict[str, float | None]] = {}
    for away in AWAY_SECONDS:
        back, attempts = reconnections(devices, away, seed=seed)
        seconds: dict[int, int] = {}
        for at in back:
            seconds[int(at)] = seconds.get(int(at), 0) + 1
        hub = told(back, rate, seed=seed).numbers()
        numbers[f"{away:g} s"] = {
            "peak_vs_mean": round(max(seconds.values()) / (devices / WINDOW_SECONDS), 2),
            "attempts_per_device": round(attempts, 2),
            "last_back_after_s": round(back[-1] - away),
            "never_registered_pct": hub["never_registered_pct"],
            "requests_per_device": hub["requests_per_device"],
        }
    return numbers


def lone_device_retries_after(chance: float) -> float:
    """Seconds after which a device that is alone tries again, when a packet of it was lost."""
    return backoff.delay(HubUnavailable("no answer"), 0, chance)


def table(numbers: dict[str, dict[str, float | None]], what: str = "policy") -> str:
    """The numbers, for people."""
    columns = list(next(iter(numbers.values())))
    lines = [f"{what:<12}" + "".join(f"{name:>23}" for name in columns)]
    for policy, row in numbers.items():
        shown = ("never" if value is None else f"{value:g}" for value in row.values())
        lines.append(f"{policy:<12}" + "".join(f"{value:>23}" for value in shown))
    return "\n".join(lines)


def plot(outcomes: dict[str, Outcome], path: str) -> None:
    """Draw the share of the fleet that is registered over time."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5))
    for name, outcome in outcomes.items():
        ideal = outcome.devices / outcome.rate
        shares = [100 * (number + 1) / outcome.devices for number in range(len(outcome.registered_at))]
        times = [at / ideal for at in outcome.registered_at]
        end, every = max(2.0, times[-1]), max(1, len(times) // 200)
        axes.step(
            [*times[::every], times[-1], end],
            [*shares[::every], *2 * [shares[-1]]],
            where="post",
            label=name,
            linewidth=2.5 if name == "nhagent" else 1.2,
        )  # fmt: skip
    axes.plot([0, 1, 2], [0, 100, 100], color="grey", linestyle=":", label="as fast as the hub can")
    axes.set(
        xlabel="time, in multiples of the ideal (fleet / rate)",
        ylabel="% of the fleet registered",
        xlim=(0, 2),
        ylim=(0, 101),
        title="After a power cut: every device boots within 20 s, every channel has changed",
    )
    axes.legend(loc="center right")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--devices", type=int, default=100_000, metavar="N", help="default %(default)s")
    parser.add_argument(
        "--rate-divisor", type=float, default=300.0, metavar="N",
        help="the hub takes a N-th of the fleet each second (default %(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "--retry-after", type=float, metavar="SECONDS", help="what a 429 says; default: nothing"
    )
    parser.add_argument("--seed", type=int, default=1, help="of all chance (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the numbers as one JSON object")
    parser.add_argument("--push", action="store_true", help="let the push service restart")
    parser.add_argument("--plot", metavar="FILE", help="draw it (needs matplotlib)")
    options = parser.parse_args(arguments)
    if options.devices < 1 or options.rate_divisor <= 0:
        parser.error("give at least one device, and a rate above zero")
    rate = max(1.0, options.devices / options.rate_divisor)
    if options.push:
        numbers = push_numbers(options.devices, rate, options.seed)
        if options.json:
            print(json.dumps(numbers))
        else:
            print(f"The push service ends {options.devices} connections at once, is away for a while,")
            print(f"and has forgotten all devices; the hub takes {rate:.1f} requests a second\n")
            print(table(numbers, "away for"))
        return 0
    outcomes = {
        name: simulate(
            policy, options.devices, rate, retry_after=options.retry_after, seed=options.seed
        )
        for name, policy in POLICIES.items()
    }  # fmt: skip
    numbers = {name: outcome.numbers() for name, outcome in outcomes.items()}
    if options.json:
        print(json.dumps(numbers))
    else:
        says = "no Retry-After" if options.retry_after is None else f"Retry-After: {options.retry_after:g}"
        print(f"{options.devices} devices boot within {BOOT_SECONDS:g} s; the hub takes {rate:.1f} a second")
        print(f"and answers 429 with {says} to the rest; ideal time {options.devices / rate:.0f} s\n")
        print(table(numbers))
        first, last = lone_device_retries_after(0.0), lone_device_retries_after(1.0)
        print(f"\na lone device whose packet was lost tries again after {first:g} to {last:g} s")
    if options.plot:
        plot(outcomes, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
