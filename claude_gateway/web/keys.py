"""Where the parts that handlers need stand on the aiohttp application and request, each under a typed key."""

from aiohttp import web

from claude_gateway.access.keys import Key, KeyRing
from claude_gateway.config import Settings
from claude_gateway.models.catalogue import Catalogue
from claude_gateway.own_tools.toolbox import Toolbox
from claude_gateway.responses.background import Background
from claude_gateway.responses.register import Responses
from claude_gateway.service import ChatService
from claude_gateway.sessions.files import SessionFiles
from claude_gateway.sessions.register import Sessions
from claude_gateway.web.fetch import Fetcher
from claude_gateway.web.health import Health

SETTINGS = web.AppKey("settings", Settings)
KEY_RING = web.AppKey("key_ring", KeyRing)
SERVICE = web.AppKey("service", ChatService)
SESSIONS = web.AppKey("sessions", Sessions)
SESSION_FILES = web.AppKey("session_files", SessionFiles)
TOOLBOX = web.AppKey("toolbox", Toolbox)
RESPONSES = web.AppKey("responses", Responses)
BACKGROUND = web.AppKey("background", Background)
CATALOGUE = web.AppKey("catalogue", Catalogue)
FETCHER = web.AppKey("fetcher", Fetcher)
HEALTH = web.AppKey("health", Health)

CALLER = web.RequestKey("caller", Key)
REQUEST_ID = web.RequestKey("request_id", str)
