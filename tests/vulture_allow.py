"""What vulture takes for unused: names that somebody outside of ``nhagent`` calls, reads or looks for.

It is read, never run: ``vulture nhagent tests/vulture_allow.py --min-confidence 60``. Names are written as
attributes of where they stand, so that mypy finds those that are there no more. Each group says who uses it.
"""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.parsers.expat import XMLParserType

from requests import Session
from urllib3 import HTTPConnectionPool, PoolManager
from urllib3.connection import HTTPConnection

import nhagent
from nhagent import testing
from nhagent.agent import Agent
from nhagent.commands.usage import Parser
from nhagent.device.vault import Vault
from nhagent.emulator import Emulator
from nhagent.emulator.server import Exchange, Server
from nhagent.hub.client import HubClient
from nhagent.report import Drift
from nhagent.values import Frozen

_allowed = (
    # Apps call them: they are public, and nothing within needs them.
    Agent.start_async,
    Agent.keep_fresh,
    Agent.add_tags,
    Agent.remove_tags,
    HubClient.modify_registration,
    HubClient.registrations_by_tag,
    HubClient.cancel_scheduled,
    # Tests that use the emulator call them.
    Emulator.clear_faults,
    Emulator.vapid_private_key,
    Emulator.clear_deliveries,
    Emulator.push_state,
    Emulator.wait_for_delivery,
    Emulator.set_clock,
    # pytest finds fixtures by name.
    testing.notification_hub,
    testing.tls_notification_hub,
    testing.nhagent_state_dir,
    testing._nothing_of_the_machine,
    # keyring finds its backends by entry point (setup.cfg).
    Vault,
    Vault.viable,
    # Python itself calls them: of a module (PEP 562), and of a class for each subclass.
    nhagent.__getattr__,
    nhagent.__dir__,
    Frozen.__init_subclass__,
    Drift.__match_args__,
    # dataclasses looks for it.
    Drift.__dataclass_fields__,
    # A mapping's own ways to change, each of which refuses.
    dict.popitem,
    # expat reads them of the parser.
    XMLParserType.buffer_text,
    XMLParserType.StartElementHandler,
    XMLParserType.EndElementHandler,
    XMLParserType.CharacterDataHandler,
    XMLParserType.CommentHandler,
    XMLParserType.ProcessingInstructionHandler,
    XMLParserType.XmlDeclHandler,
    XMLParserType.ordered_attributes,
    XMLParserType.StartDoctypeDeclHandler,
    XMLParserType.EntityDeclHandler,
    # http.server reads or calls them of its subclasses; it finds do_GET and the like by the request's method.
    ThreadingHTTPServer.request_queue_size,
    ThreadingHTTPServer.address_family,
    Server.process_request,
    BaseHTTPRequestHandler.protocol_version,
    BaseHTTPRequestHandler.log_message,
    BaseHTTPRequestHandler.send_error,
    Exchange.disable_nagle_algorithm,
    Exchange.do_DELETE,
    Exchange.do_GET,
    Exchange.do_HEAD,
    Exchange.do_OPTIONS,
    Exchange.do_PATCH,
    Exchange.do_POST,
    Exchange.do_PUT,
    # argparse calls it.
    Parser._check_value,
    # requests reads or calls them of a session, by keyword too.
    Session.trust_env,
    Session.get_redirect_target,
    lambda resp: resp,
    # urllib3 reads or calls them of pools and connections.
    PoolManager().pool_classes_by_scheme,
    HTTPConnectionPool.ConnectionCls,
    HTTPConnection._new_conn,
    HTTPConnection.debuglevel,
    HTTPConnection.response_class,
)
