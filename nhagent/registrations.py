"""Registrations as they are declared; `nhagent.hub.held` has them as a hub holds them."""

from __future__ import annotations

from nhagent import validation
from nhagent.documents import Model
from nhagent.errors import ConfigurationError
from nhagent.models import Template, check_templates
from nhagent.push_channels import Platform, read_channel
from nhagent.values import EMPTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import ClassVar

    from nhagent.literals import PlatformName
    from nhagent.push_channels import PushChannel, RawChannel


class Registration(Model):
    """A push channel with its tags, and with one template or none (then it is called native).

    Source: REST reference, "Create a registration".

    Attributes:
        platform: which platform notification service reaches the device.
        channel: the PNS handle; for baidu ``USER-CHANNEL``.
        tags, push_variables: what sends are routed and filled in by.
        template: what the hub fills in; None: native. Its own tags are not used: a registration has one list.
        template_name: the template's name, if it has one.
        secondary_tile_name: wns and mpns: the tile that the channel belongs to.

    Raises:
        ConfigurationError: a field breaks a rule.
    """

    platform: Platform
    channel: PushChannel
    tags: tuple[str, ...] = ()
    push_variables: Mapping[str, str] = EMPTY
    template: Template | None = None
    template_name: str | None = None
    secondary_tile_name: str | None = None
    _hidden = frozenset({"channel"})
    _mappings = ("push_variables",)
    _models: ClassVar[Mapping[str, type[Model]]] = {"template": Template}
    _wire_names: ClassVar[Mapping[str, str]] = {"channel": "push_channel"}
    if TYPE_CHECKING:  # what may be given is more than what is kept

        def __init__(
            self,
            platform: Platform | PlatformName,
            channel: RawChannel,
            tags: Iterable[str] = (),
            push_variables: Mapping[str, str] = EMPTY,
            template: Template | None = None,
            template_name: str | None = None,
            secondary_tile_name: str | None = None,
        ) -> None: ...

    def _validate(self) -> None:
        fields = self.__dict__
        fields["platform"] = Platform.parse(self.platform)
        fields["channel"] = read_channel(self.platform, self.channel, "channel")
        fields["tags"] = validation.checked_tags("tags", self.tags)
        validation.check_push_variables(self.push_variables)
        if self.template is not None:
            check_templates("template", {self.template_name or "unnamed": self.template}, self.platform)
        elif self.template_name is not None:
            raise ConfigurationError(
                "template_name: there is no template that it could name", "give template too"
            )
        if self.secondary_tile_name is not None:
            validation.check_name("secondary_tile_name", self.secondary_tile_name)
