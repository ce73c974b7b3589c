"""What users of the emulator see of its sends."""

from __future__ import annotations

from abc import ABC, abstractmethod

from nhagent.emulator.parts import Parts
from nhagent.emulator.sends.delivery import Delivery, Why


class WithSends(ABC):
    """The part of an emulator that shows what was sent, and what arrived where."""

    def deliveries(self, *, tag: str | None = None, installation: str | None = None) -> list[Delivery]:
        """Return what was sent, and what each device would receive, oldest first.

        Args:
            tag: only sends whose tag expression names this tag, in any case.
            installation: only sends that reached this installation.
        """
        return self._parts().sender.deliveries.entries(tag=tag, installation=installation)

    def wait_for_delivery(
        self, *, tag: str | None = None, installation: str | None = None, timeout: float = 10.0
    ) -> Delivery:
        """Wait for a delivery, and return it: the oldest one that is meant.

        Args:
            tag: only a send whose tag expression names this tag, in any case.
            installation: only a send that reached this installation.
            timeout: longest wait, in seconds.

        Raises:
            TimeoutError: there was none within that time, or the emulator was closed.
        """
        parts = self._parts()
        parts.changes.wait_for(lambda: self.deliveries(tag=tag, installation=installation), timeout)
        found = self.deliveries(tag=tag, installation=installation)
        if not found:
            wanted = " and ".join(
                [f"the tag '{tag}'"] * (tag is not None)
                + [f"the installation '{installation}'"] * (installation is not None)
            )
            others = len(self.deliveries())
            raise TimeoutError(
                f"No delivery{' for ' + wanted if wanted else ''} within {timeout:g} seconds; "
                f"{others} other{'' if others == 1 else 's'}."
            )
        return found[0]

    def clear_deliveries(self) -> None:
        """Remove every entry of `deliveries`."""
        self._parts().sender.deliveries.clear()

    def why_not(self, delivery: str, installation: str) -> Why | None:
        """Return why an installation received nothing; None where it received something.

        Args:
            delivery: the id of the delivery.
            installation: the id of the installation, which is looked at as it is now.

        Raises:
            KeyError: there is no such delivery, or no such installation.
        """
        return self._parts().sender.why_not(delivery, installation)

    @abstractmethod
    def _parts(self) -> Parts: ...
