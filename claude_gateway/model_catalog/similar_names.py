"""Parser for the different spellings of Claude model names that clients send. No I/O.

Examples are `bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0` (LiteLLM), `anthropic/claude-sonnet-4.5:beta`
(OpenRouter), `claude-4.5-sonnet-thinking` (Cursor), `claude-sonnet-4-5@20250929` (Vertex), `models/gemini-2.5-pro`
(Google's programs), and `anthropic:claude-sonnet-4-5` (pydantic-ai and LangChain).
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

FAMILIES = ("opus", "sonnet", "haiku", "fable")
# Known provider prefixes. If a name has another prefix, the parser accepts it only if a complete Claude name follows
# the prefix, and not if a short name such as `sonnet` or the name of another provider's model follows.
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
# Clients use the same few names in all their requests.
_MAX_CACHED_NAMES = 512
_PROVIDER_PATH = re.compile(r"[A-Za-z0-9~_.:-]+(/[A-Za-z0-9~_.:-]+)*/")
_PROVIDER_PREFIX = re.compile(r"([a-z_-]+):(?=[a-z])")
# Path segment that comes before the name of a fine-tuned model at Google. Such a name never stands for a Claude model.
_TUNED_MODELS_SEGMENT = "tunedModels"
# Prefix of Bedrock names. The region is `us.`, `eu.`, `apac.`, `global.`, `us-gov.` or a future region.
_BEDROCK_PREFIX = re.compile(r"(?P<region>[a-z]{2,8}(-[a-z]{2,8})?\.)?anthropic\.(?=claude-)")
_BEDROCK_VERSION_SUFFIX = re.compile(r"-v\d{1,2}(:\d{1,2})?(:\d+k)?$")
_CONTEXT_WINDOW_SUFFIX = re.compile(r"(\[1m\]|[:-]1m)$")
# Suffixes that stand for a variant of a model. OpenRouter and Ollama (`:latest`) use such suffixes, and editors append
# effort levels and modes to a name.
_VARIANT_SUFFIX = re.compile(
    r"([:-](thinking|reasoning|fast|none|minimal|low|medium|high|xhigh|max|latest|preview)"
    r"|:(beta|free|nitro|floor|online|extended|exacto))$"
)
_DATE_SUFFIX = re.compile(r"[-@](\d{8})$|@(latest|default)$")
_FAMILY_PATTERN = rf"(?P<family>{'|'.join(FAMILIES)})"
_VERSION_PATTERN = r"(?P<major>\d{1,2})([.-](?P<minor>\d{1,2}))?"
_NAME_PATTERNS = (
    re.compile(rf"(claude-)?{_FAMILY_PATTERN}(-?{_VERSION_PATTERN})?"),
    re.compile(rf"claude-{_VERSION_PATTERN}-{_FAMILY_PATTERN}"),
)
# From this major version on, the family comes before the version in a model name, as in `claude-sonnet-4-5`.
_FIRST_MAJOR_AFTER_FAMILY = 4


@dataclass(frozen=True, slots=True)
class ParsedModelName:
    """The parts of the name of a Claude model.

    Attributes:
        family: One of `FAMILIES`.
        version: Version numbers; empty if the name stands for the current model of the family.
        date: Date in the name; "" if the name has no date.
        context_window_suffix: `[1m]` if the name requests the large context window; otherwise "".
    """

    family: str
    version: tuple[int, ...]
    date: str = ""
    context_window_suffix: str = ""

    @property
    def undated_name(self) -> str:
        """The name that Anthropic uses for the model, without the date."""
        version = "-".join(map(str, self.version))
        if self.version and self.version[0] < _FIRST_MAJOR_AFTER_FAMILY:
            return f"claude-{version}-{self.family}"
        return f"claude-{self.family}-{version}" if version else self.family

    @property
    def name(self) -> str:
        """The complete name that Anthropic uses for the model."""
        return self.undated_name + (f"-{self.date}" if self.date else "") + self.context_window_suffix

    def matches(self, other: "ParsedModelName") -> bool:
        """Return whether this name stands for the model `other`. A name without a date matches every date."""
        return replace(other, date=self.date and other.date) == self


@lru_cache(maxsize=_MAX_CACHED_NAMES)
def strip_providers(name: str) -> tuple[str, bool]:
    """Return a name without its provider prefixes, and whether all these prefixes stand for known providers."""
    is_known = True
    if match := _PROVIDER_PATH.match(name):
        segments = match[0].rstrip("/").split("/")
        if _TUNED_MODELS_SEGMENT in segments:
            return name, False
        is_known = segments[0] == "projects" or all(segment in _PROVIDERS for segment in segments)
        name = name[match.end() :]
    elif (match := _PROVIDER_PREFIX.match(name)) and match[1] in _PROVIDERS:
        name = name[match.end() :]
    return name, is_known


def strip_variants(name: str) -> str:
    """Remove the suffixes of a name that stand for a variant of a model, such as `-thinking` or `:free`."""
    while match := _VARIANT_SUFFIX.search(name):
        name = name[: match.start()]
    return name


def strip_bedrock_prefix(name: str) -> str:
    """Convert a Bedrock name to the name that Anthropic uses. Return other names unchanged."""
    match = _BEDROCK_PREFIX.match(name)
    return _BEDROCK_VERSION_SUFFIX.sub("", name[match.end() :]) if match else name


def is_bedrock_name(name: str) -> bool:
    """Return whether a name is a Bedrock model id or an ARN."""
    return name.startswith("arn:aws") or _BEDROCK_PREFIX.match(name) is not None


@lru_cache(maxsize=_MAX_CACHED_NAMES)
def parse_model_name(name: str) -> ParsedModelName | None:
    """Parse a name without provider prefix. Return None if the name is not clearly the name of a Claude model."""
    name = _BEDROCK_VERSION_SUFFIX.sub("", strip_bedrock_prefix(name))
    date = context_window_suffix = ""
    previous_name = None
    while previous_name != name:
        previous_name = name
        if match := _CONTEXT_WINDOW_SUFFIX.search(name):
            name, context_window_suffix = name[: match.start()], "[1m]"
        if not date and (match := _DATE_SUFFIX.search(name)):
            name, date = name[: match.start()], match[1] or ""
        name = _BEDROCK_VERSION_SUFFIX.sub("", strip_variants(name))
    match = next((match for pattern in _NAME_PATTERNS if (match := pattern.fullmatch(name))), None)
    if match is None:
        return None
    version = tuple(int(part) for part in (match["major"], match["minor"]) if part)
    return ParsedModelName(match["family"], version, date, context_window_suffix)
