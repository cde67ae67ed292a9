"""Services that handlers use, and the keys under which the aiohttp application and its requests hold data."""

from dataclasses import dataclass, field

from aiohttp import web

from claude_gateway.auth.authenticator import Authenticator
from claude_gateway.auth.key_service import KeyService
from claude_gateway.auth.models import ApiKey
from claude_gateway.auth.rate_limit import RateLimiter, RateLimitState
from claude_gateway.auth.request_pacing import RequestPacer
from claude_gateway.builtin_tools.service import BuiltinToolService
from claude_gateway.claude_code.health_report import HealthReport
from claude_gateway.config import Settings
from claude_gateway.jobs.service import ChatService
from claude_gateway.mcp_servers.manager import McpServerManager
from claude_gateway.model_catalog.catalog import ModelCatalog
from claude_gateway.net.fetcher import Fetcher
from claude_gateway.observability.metrics import Metrics
from claude_gateway.observability.tracing import NullTracer, Tracer
from claude_gateway.offload.pool import OffloadPool
from claude_gateway.openapi.spec import Operation
from claude_gateway.runtime.shutdown import GracefulShutdown
from claude_gateway.sessions.service import SessionService
from claude_gateway.sessions.workspace_files import SessionFiles
from claude_gateway.stored_responses.background import BackgroundResponses
from claude_gateway.stored_responses.service import ResponseService
from claude_gateway.usage.record import RequestContext
from claude_gateway.usage.recorder import UsageRecorder
from claude_gateway.web.context.body_memory import BodyMemory
from claude_gateway.web.context.live_config import LiveConfig
from claude_gateway.web.context.route import RouteRule


@dataclass(frozen=True, slots=True)
class AppState:
    """All services that the web layer uses. Tests replace them with scripted services."""

    live_config: LiveConfig
    authenticator: Authenticator
    key_service: KeyService
    rate_limiter: RateLimiter
    chat_service: ChatService
    health: HealthReport
    sessions: SessionService
    session_files: SessionFiles
    stored_responses: ResponseService
    background_responses: BackgroundResponses
    fetcher: Fetcher
    builtin_tools: BuiltinToolService
    mcp_servers: McpServerManager
    usage_recorder: UsageRecorder
    body_memory: BodyMemory
    offload: OffloadPool
    pacer: RequestPacer = field(default_factory=RequestPacer)
    shutdown: GracefulShutdown = field(default_factory=GracefulShutdown)
    metrics: Metrics = field(default_factory=Metrics)
    traces: Tracer = field(default_factory=NullTracer)

    @property
    def settings(self) -> Settings:
        """The current settings."""
        return self.live_config.settings

    @property
    def catalog(self) -> ModelCatalog:
        """The current model catalog."""
        return self.live_config.catalog


STATE = web.AppKey("state", AppState)
# The key under which the application holds the operations of the OpenAPI document. The gateway builds the operations
# from the route table.
OPERATIONS: web.AppKey[tuple[Operation, ...]] = web.AppKey("operations", tuple)

API_KEY = web.RequestKey("key", ApiKey)
RATE_LIMIT_STATE = web.RequestKey("rate_limit_state", RateLimitState)
REQUEST_ID = web.RequestKey("request_id", str)
ROUTE_RULE = web.RequestKey("rule", RouteRule)
REQUEST_CONTEXT = web.RequestKey("context", RequestContext)
