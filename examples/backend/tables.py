"""What the database keeps: who is who, and whose an installation id is.

It keeps no tags, channels or templates of a device: the hub does, and a second copy would part from it.
"""

from __future__ import annotations

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The base of all tables."""


class User(Base):
    """A person. The name is kept in lower case, since the hub compares tags in any case."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    tags: Mapped[list[UserTag]] = relationship(order_by="UserTag.tag")


class UserTag(Base):
    """A tag with a colon that a user may have; ``topic:…`` is on all devices of the user."""

    __tablename__ = "user_tags"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(120), primary_key=True)


class Credential(Base):
    """A device, known by its token, of which only a hash is kept. Its user may change."""

    __tablename__ = "credentials"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    user: Mapped[User] = relationship()
    devices: Mapped[list[Device]] = relationship(order_by="Device.key")
    registrations: Mapped[list[KeptRegistration]] = relationship(order_by="KeptRegistration.id")


class Device(Base):
    """An installation id, and the credential that first wrote it, whose it stays.

    Attributes:
        key: the id without regard to case, as the hub may compare it.
    """

    __tablename__ = "devices"

    key: Mapped[str] = mapped_column(String(600), primary_key=True)
    installation_id: Mapped[str] = mapped_column(String(200))
    credential_id: Mapped[int] = mapped_column(ForeignKey("credentials.id"), index=True)


class KeptRegistration(Base):
    """A registration by the name that its device gives it, and the hub's id of it, which may change."""

    __tablename__ = "registrations"
    __table_args__ = (UniqueConstraint("credential_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    credential_id: Mapped[int] = mapped_column(ForeignKey("credentials.id"))
    name: Mapped[str] = mapped_column(String(120))
    registration_id: Mapped[str] = mapped_column(String(200))
