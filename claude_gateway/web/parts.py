"""The parts that handlers need, and where they stand on the aiohttp application and request."""

from dataclasses import dataclass, field

from aiohttp import web

from claude_gateway.access.key_ring import KeyRing
from claude_gateway.access.keys import Key
from claude_gateway.access.limits import Limits, Standing
from claude_gateway.access.register import Keys
from claude_gateway.access.request_pacing import RequestPacer
from claude_gateway.config import Settings
from claude_gateway.daemon.drain import Drain
from claude_gateway.ledger.entry import Visit
from claude_gateway.ledger.ledger import Ledger
from claude_gateway.mcp_servers.servers import McpServers
from claude_gateway.models.catalogue import Catalogue
from claude_gateway.offload.pool import Offload
from claude_gateway.own_tools.toolbox import Toolbox
from claude_gateway.responses.background import Background
from claude_gateway.responses.register import Responses
from claude_gateway.service import ChatService
from claude_gateway.sessions.files import SessionFiles
from claude_gateway.sessions.register import Sessions
from claude_gateway.telemetry.metrics import Metrics
from claude_gateway.telemetry.tracing import NoTraces, Traces
from claude_gateway.web.body_memory import BodyMemory
from claude_gateway.web.current import Current
from claude_gateway.web.fetch import Fetcher
from claude_gateway.web.health import Health
from claude_gateway.web.rules import Rule


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything behind the web layer. Tests hand in scripted ones."""

    current: Current
    key_ring: KeyRing
    keys: Keys
    limits: Limits
    service: ChatService
    health: Health
    sessions: Sessions
    files: SessionFiles
    responses: Responses
    background: Background
    fetcher: Fetcher
    toolbox: Toolbox
    mcp_servers: McpServers
    ledger: Ledger
    body_memory: BodyMemory
    offload: Offload
    pacer: RequestPacer = field(default_factory=RequestPacer)
    drain: Drain = field(default_factory=Drain)
    metrics: Metrics = field(default_factory=Metrics)
    traces: Traces = field(default_factory=NoTraces)

    @property
    def settings(self) -> Settings:
        return self.current.settings

    @property
    def catalogue(self) -> Catalogue:
        return self.current.catalogue


PARTS = web.AppKey("parts", Parts)

CALLER = web.RequestKey("caller", Key)
STANDING = web.RequestKey("standing", Standing)
REQUEST_ID = web.RequestKey("request_id", str)
RULE = web.RequestKey("rule", Rule)
VISITED = web.RequestKey("visit", Visit)
