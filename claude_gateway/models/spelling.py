"""The spellings of a model's name that programs use, and what they have in common. Pure.

LiteLLM writes `bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0`, OpenRouter `anthropic/claude-sonnet-4.5:beta`,
Cursor `claude-4.5-sonnet-thinking`, Vertex `claude-sonnet-4-5@20250929`, Google's programs `models/gemini-2.5-pro`,
pydantic-ai and LangChain `anthropic:claude-sonnet-4-5`.
"""

import re
from dataclasses import dataclass, replace

FAMILIES = ("opus", "sonnet", "haiku", "fable")
# What stands before the model of another provider, or before a word such as `sonnet`. Claude's own names may have
# anything before them.
_PROVIDERS = frozenset(
    {
        *("anthropic", "azure", "azure_ai", "bedrock", "bedrock_converse", "chatgpt"),
        *("codex", "converse", "copilot", "custom_openai", "gateway", "gemini"),
        *("gemini-cli", "github", "github_copilot", "google", "google-gla", "google-vertex"),
        *("google_genai", "google_vertexai", "invoke", "litellm", "litellm_proxy", "models"),
        *("openai", "openai-compatible", "openai-responses", "openai_like", "openrouter", "publishers"),
        *("responses", "text-completion-openai", "vertex", "vertex_ai", "~anthropic", "~google"),
        *("~openai"),
    }
)
_SEGMENTS = re.compile(r"[A-Za-z0-9~_.:-]+(/[A-Za-z0-9~_.:-]+)*/")
_PROVIDER_COLON = re.compile(r"([a-z_-]+):(?=[a-z])")
# Google's collection of models of one's own: a name in it means nothing here.
_TUNED = "tunedModels"
# `us.`, `eu.`, `apac.`, `global.`, `us-gov.` and whatever region comes next.
_BEDROCK = re.compile(r"(?P<region>[a-z]{2,8}(-[a-z]{2,8})?\.)?anthropic\.(?=claude-)")
_BEDROCK_VERSION = re.compile(r"-v\d{1,2}(:\d{1,2})?(:\d+k)?$")
_WINDOW = re.compile(r"(\[1m\]|[:-]1m)$")
# OpenRouter's variants, Ollama's `:latest`, and the efforts and modes that editors put behind a name.
_SUFFIX = re.compile(
    r"([:-](thinking|reasoning|fast|none|minimal|low|medium|high|xhigh|max|latest|preview)"
    r"|:(beta|free|nitro|floor|online|extended|exacto))$"
)
_DATE = re.compile(r"[-@](\d{8})$|@(latest|default)$")
_FAMILY = rf"(?P<family>{'|'.join(FAMILIES)})"
_VERSION = r"(?P<major>\d{1,2})([.-](?P<minor>\d{1,2}))?"
_CORES = (re.compile(rf"(claude-)?{_FAMILY}(-?{_VERSION})?"), re.compile(rf"claude-{_VERSION}-{_FAMILY}"))
# From here on the family stands before the version.
_FIRST_OF_TODAYS_NAMES = 4


@dataclass(frozen=True, slots=True)
class Spelled:
    """A Claude model as a name says it: `date` is "" for a name without one, `window` "" or `[1m]`. Without a version
    it is the current model of the family."""

    family: str
    version: tuple[int, ...]
    date: str = ""
    window: str = ""

    @property
    def undated(self) -> str:
        """Anthropic's own name without a date."""
        version = "-".join(map(str, self.version))
        if self.version and self.version[0] < _FIRST_OF_TODAYS_NAMES:
            return f"claude-{version}-{self.family}"
        return f"claude-{self.family}-{version}" if version else self.family

    @property
    def name(self) -> str:
        """Anthropic's own name."""
        return self.undated + (f"-{self.date}" if self.date else "") + self.window

    def means(self, other: "Spelled") -> bool:
        """Whether `other` is the model that this name is for; a name without a date is for any date."""
        return replace(other, date=self.date and other.date) == self


def bare(name: str) -> tuple[str, bool]:
    """The name without the providers before it, and whether each of those is known."""
    known = True
    if match := _SEGMENTS.match(name):
        segments = match[0].rstrip("/").split("/")
        if _TUNED in segments:
            return name, False
        known = segments[0] == "projects" or all(one in _PROVIDERS for one in segments)
        name = name[match.end() :]
    elif (match := _PROVIDER_COLON.match(name)) and match[1] in _PROVIDERS:
        name = name[match.end() :]
    return name, known


def without_suffixes(name: str) -> str:
    """Without what tells a variant of the model and not the model."""
    while match := _SUFFIX.search(name):
        name = name[: match.start()]
    return name


def without_region(name: str) -> str:
    """Bedrock's name of a model as Anthropic writes it; any other as it is."""
    match = _BEDROCK.match(name)
    return _BEDROCK_VERSION.sub("", name[match.end() :]) if match else name


def is_bedrock(name: str) -> bool:
    return name.startswith("arn:aws") or _BEDROCK.match(name) is not None


def read(name: str) -> Spelled | None:
    """None for a name of which it is not sure which Claude model it means. No provider stands before it."""
    name = _BEDROCK_VERSION.sub("", without_region(name))
    date = window = ""
    before = None
    while before != name:
        before = name
        if match := _WINDOW.search(name):
            name, window = name[: match.start()], "[1m]"
        if not date and (match := _DATE.search(name)):
            name, date = name[: match.start()], match[1] or ""
        name = _BEDROCK_VERSION.sub("", without_suffixes(name))
    match = next((match for core in _CORES if (match := core.fullmatch(name))), None)
    if match is None:
        return None
    return Spelled(match["family"], tuple(int(part) for part in (match["major"], match["minor"]) if part), date, window)
