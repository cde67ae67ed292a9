"""Job with the values that are computed from the whole job: conversation keys, aliases and tool names. No I/O.

The engine prepares a job once, when the job has a slot. Pools and workers only read the result. The preparation of a
job of 10 MB takes a tenth of a second.
"""

from dataclasses import dataclass

from workers.conversation.prefix_keys import (
    ConversationKeys,
    compute_conversation_and_content_keys,
    compute_conversation_keys,
)
from workers.core.job import AgentOptions, ChatJob, ToolDefinition
from workers.core.message_blocks import is_plain_text
from workers.params.name_aliases import NO_ALIASES, NameAliases, build_aliases, sanitize_names, sanitize_tools
from workers.worker.tool_registration import collect_tool_names


@dataclass(frozen=True, slots=True)
class PreparedJob:
    """A job in the form that workers run.

    Attributes:
        job: The job, with tool names that the Messages API accepts.
        keys: The keys of the job's conversation.
        aliases: The aliases for the job's tools.
        tool_names: The names that must be registered with the CLI: those of the job's tools and those of the tools that
            its history calls.
    """

    job: ChatJob
    keys: ConversationKeys
    aliases: NameAliases
    tool_names: frozenset[str]


@dataclass(frozen=True, slots=True)
class PreparedAgentJob(PreparedJob):
    """A job with built-in tools, in the form that agents run.

    Attributes:
        options: The options of the job.
        content_keys: The keys of the job's conversation, computed without the model and the system prompt. The resume
            index needs them.
        remote_tools: The job's remote tools, with names that the Messages API accepts.
        remote_aliases: The aliases for the job's remote tools.
    """

    options: AgentOptions
    content_keys: ConversationKeys
    remote_tools: tuple[ToolDefinition, ...]
    remote_aliases: NameAliases


def prepare_chat_job(job: ChatJob) -> PreparedJob:
    """Prepare a job for a chat worker."""
    if not job.tools and job.params.tool_choice is None and is_plain_text(job.turns):
        return PreparedJob(job, compute_conversation_keys(job), NO_ALIASES, frozenset())
    aliases = build_aliases(job.tools)
    sanitized = sanitize_names(job, aliases)
    return PreparedJob(sanitized, compute_conversation_keys(sanitized), aliases, collect_tool_names(sanitized))


def prepare_agent_job(job: ChatJob) -> PreparedAgentJob:
    """Prepare a job with built-in tools for an agent."""
    assert job.agent_options is not None
    aliases, remote_aliases = build_aliases(job.tools), build_aliases(job.agent_options.remote_tools)
    sanitized = sanitize_names(job, aliases)
    keys, content_keys = compute_conversation_and_content_keys(sanitized)
    return PreparedAgentJob(
        sanitized,
        keys,
        aliases,
        collect_tool_names(sanitized),
        job.agent_options,
        content_keys,
        sanitize_tools(job.agent_options.remote_tools, remote_aliases),
        remote_aliases,
    )
