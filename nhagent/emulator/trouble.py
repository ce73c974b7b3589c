"""What users of the emulator see of its faults and its clock: how they make things go wrong."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal

from nhagent.emulator.assembly import Lasting
from nhagent.emulator.faults import Fault


class WithTrouble(ABC):
    """The part of an emulator that makes things go wrong. It can be told to before it is started."""

    _lasting: Lasting

    def fail(
        self,
        match: str,
        *,
        status: int | None = None,
        times: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
        delay: float = 0.0,
        cut_after: int | None = None,
        reset: Literal["before", "after"] | None = None,
        drip: float = 0.0,
        chunked: Literal["garbage", "endless"] | None = None,
        encoding: Literal["gzip"] | None = None,
        size: int | None = None,
        late: float = 0.0,
        ignored: Literal["always", "unchanged"] | None = None,
        probability: float | None = None,
        seed: int | None = None,
    ) -> None:
        """Order a fault. Faults queue, and the oldest that matches a request applies to it.

        Args:
            match: a method or ``*``, then optionally a space and a part of the path after the hub's name.
            status: answer this and carry nothing out; None carries the request out and sends the real reply.
            times: the number of requests that it applies to; None for one, or with ``probability`` for
                every one until `clear_faults`.
            headers: of the reply with ``status``.
            body: of the reply with ``status``; None for the service's error form.
            delay: seconds to hold the reply back.
            cut_after: bytes of the reply, its head included, after which the connection is closed.
            reset: send no reply but reset the connection (RST). ``before``: the request is read, since
                ``match`` needs it, but not carried out, and the log shows it with status 0; ``after``: it is
                carried out, and the log shows the status of the reply that was not sent. Only ``delay`` goes
                with it.
            drip: seconds after each single byte of the reply, its head included.
            chunked: ``garbage`` frames the reply in chunks whose sizes are not numbers; ``endless`` sends
                chunk after chunk until the client hangs up.
            encoding: compress the body, whether or not the client asked for it; with ``size`` a bomb.
            size: bytes to which the body is padded with spaces, before it is compressed.
            late: carry a write out so many seconds after its reply, by the hub's clock. The service queues
                writes of installations.
            ignored: answer a write as if it were carried out, and do nothing: ``always``, or ``unchanged``
                where an installation is put again with the content of its last PUT, whatever its
                expiration. Users report both of the service.
            probability: of going wrong, for each request; None: it always does.
            seed: of the random numbers for that.

        Raises:
            ValueError: a value is out of range, two contradict each other, or nothing would go wrong.
        """
        self._lasting.faults.add(
            Fault(
                match,
                status,
                times,
                headers,
                body,
                delay,
                cut_after,
                reset,
                drip,
                chunked,
                encoding,
                size,
                late,
                ignored,
                probability,
                seed,
            )
        )

    def clear_faults(self) -> None:
        """Remove every ordered fault."""
        self._lasting.faults.clear()

    def set_clock(self, offset: float) -> None:
        """Set the hub's clock, on which Date and the expiry of tokens and of what the hub holds depend.

        Args:
            offset: seconds ahead of this machine's clock, behind when negative; not added to an earlier one.

        Raises:
            ValueError: the time would lie outside the calendar.
        """
        self._lasting.clock.move(offset)
        self._time_has_changed()

    @abstractmethod
    def _time_has_changed(self) -> None: ...
