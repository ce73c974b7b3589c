"""A backend between devices and a notification hub: devices hold no key of it, and have the tags they may.

    flask --app examples/backend run

Read on in this order: ``devices`` (the contract of docs/backends.md), ``tags`` (who may have which), ``hub``
(what is written there), ``accounts`` and ``tables`` (who is who), ``topics``, ``registrations``, ``tokens``.
"""

from __future__ import annotations

from flask import Flask

from . import commands, devices, problems, registrations, tokens, topics
from .services import Services
from .settings import Settings

LARGEST_BODY_BYTES = 64 * 1024
"""An installation with sixty tags and a dozen templates is smaller by far."""


def create_app(settings: Settings | None = None) -> Flask:
    """Make the app.

    Args:
        settings: None: what the environment says.

    Raises:
        RuntimeError: a setting is missing.
        nhagent.NhagentError: the connection string or the hub's name is wrong.
    """
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY_BYTES
    app.url_map.merge_slashes = False  # an id may have slashes in it, percent-encoded
    app.extensions["services"] = Services(settings or Settings.from_environment())
    problems.register(app)
    for blueprint in (devices.blueprint, topics.blueprint, registrations.blueprint, tokens.blueprint):
        app.register_blueprint(blueprint)
    commands.register(app)
    return app
