"""The words and forms that this project does not use, each with its reason and what to write instead."""

from tests.prose.rule import Exemption, Rule
from tests.prose.texts import Kind

# The beginning of a sentence, a list item, a table cell or a main clause behind a semicolon or colon.
START = r"(?:\A|(?<=[.!?;:])\s)[\s(*_\"“]*"

SUBJECT = "A clause as subject hides the actor."
RETIRED = "The word is retired: it had several meanings, or is no term of this field."
NAMELESS = "The sentence does not name the actor."

SENTENCES = (
    Rule(
        r"\b(he|him|his|himself|she|her|hers|herself)\b",
        "Pronouns of persons.",
        "name the client or operator, or write 'they'",
        bad=("The client has closed his connection.", "she waits"),
        good=("The client closed the connection, here and there.", "This handler checks the header."),
    ),
    Rule(
        START + r"(who|whom|whose|whoever|what|whatever|where|wherever)\b(?!'s new)(?![^.;:]*\?)",
        SUBJECT,
        "begin with the actor ('Clients that …'), a noun ('The directory of …') or a condition ('If …')",
        bad=(
            "Who does not read is not waited for.",
            "The queue is full; what comes now is refused.",
            "It stops. Where keys compete, each has a share.",
            "what no client sends is refused",
            "What becomes of each parameter.",
        ),
        good=(
            "The doctor says what to do.",
            "The directory where the gateway keeps its state.",
            "It tells the client who may read it, and what it costs.",
            "What does it cost?",
            "Somewhere. Whole. However, it works.",
        ),
    ),
    Rule(
        r"(?<=[,)])\s(and|but|so|nor)\s(who|whoever|whom)\s(?!else\b)\w+",
        SUBJECT,
        "begin with the actor: 'Clients that …'",
        bad=("It is open, and who does not read is closed.",),
        good=("It names the key and who made it.",),
    ),
    Rule(
        r"\b(for|to|by|than|from|with|of) (who|whoever)\b(?! (may|can|is allowed|has access|owns)\b)",
        SUBJECT,
        "name the actor: 'for clients that …'",
        bad=("It is shown to who asks for it.", "An error for whoever waits."),
        good=("for the client who asks", "a list of those who ask"),
    ),
    Rule(
        r"\A\s*\"*(how|why|which|when)\b(?![^.]*\?)",
        "A docstring says what the thing is or does.",
        "begin with a noun ('Timeouts for …', 'Time at which …') or a verb ('Return …')",
        bad=("How long a process may be silent.", "Which module may import which."),
        good=("Timeouts for silent processes.", "Return how long a process may be silent."),
        kinds=frozenset({Kind.DOCSTRING}),
    ),
    Rule(
        r"(?:\A|(?<=[.!?])\s)[\s(*_\"“]*of\b(?! course)",
        "A fragment without subject and verb.",
        "begin with the thing itself, then a verb",
        bad=("Of one connection, all its streams together.", "It is closed. Of those, none is kept."),
        good=("Of course it is.", "The streams of one connection."),
    ),
    Rule(
        r"\b(is|are|was|were|be|been) none\b",
        "Nobody can tell what 'none' stands for.",
        "'is not valid', 'is not a …', 'is missing'",
        bad=("Raises for a schema that is none.", "a dialect that is none is a 400"),
        good=("The key is None until it is used.", "No-op if there is none."),
        exceptions=r"\bthere (is|are|was|were|has been) none",
        is_case_sensitive=True,
    ),
    Rule(
        r"\b(is|are|was|were|be) no (?!longer\b|more than\b|less than\b|later than\b|sooner\b|earlier\b|larger\b"
        r"|older\b|worse\b|better\b|different\b|such\b|one\b|need\b|point\b)\w+",
        "'is no X' is hard to read.",
        "'is not a …', 'are not …'",
        bad=("This is no JSON object.", "what is no path is refused"),
        good=("It is no longer used.", "There is no key.", "if there are no tools", "It is no more than a name."),
        exceptions=r"\b(there|here) (is|are|was|were|will be|must be|can be|may be|should be|would be) no",
    ),
    Rule(
        r"\bno more of\b",
        "It is hard to read.",
        "'nothing else of', 'no further …'",
        bad=("It reads no more of the body.",),
    ),
    Rule(
        r"\bof (?:(?:a|an|the|some|another|each|every|any) )?(?:\w+ )?"
        r"(?!(?:its|that|let|it|what)['’])\w+(?:['’]s|s['’])(?= own\b(?! \w)|\s*(?:[.,;:)|\]]|\Z)"
        r"|\s(?:and|or|that|which|who|is|are|was|were|in|to|from|for|with|by|at|on|has|have|does|as|it|but|if|nor|went)\b)",
        "A double genitive.",
        "'of the user', 'the user's …'",
        bad=(
            "A turn of the user's went in.",
            "A gateway of root's, killed outright.",
            "It has nothing of another's.",
            "servers of the key's own",
        ),
        good=(
            "The names of the user's tools.",
            "The size of a request's body.",
            "The turn of the user.",
            "A file of its own.",
        ),
    ),
    Rule(
        r"\bg(?:ive|ives|ave|iven|iving) way\b",
        "A metaphor.",
        "'is rejected', 'is replaced by', 'is evicted', 'is ignored'",
        bad=("The newest job gives way.", "the worker gave way"),
    ),
    Rule(
        r"\bfor want of\b",
        "Not plain.",
        "'because there is no …', 'without'",
        bad=("A new conversation, for want of a better way.",),
    ),
    Rule(
        r"\b(nobody|somebody|anybody|everybody)\b",
        NAMELESS,
        "name the client, operator, process or user; or 'no client', 'another user'",
        bad=("Nobody waits for it.", "It may be somebody else's."),
        good=("No client waits for it.",),
    ),
    Rule(
        r"\b(goes|go|gone|went|going) on (with|from)\b",
        "Not plain.",
        "'continue', 'resume'",
        bad=("The conversation is gone on with.",),
        good=("It continues the conversation.",),
    ),
)

WORDS = (
    Rule(
        r"\b(an|the|each|every|no|one|its|their|whole|of|any|that|which|this|first|second|last|s|['’]s) answers?\b",
        RETIRED,
        "'response' (of HTTP), 'reply' (of the model), 'result'",
        bad=("The client has its answer.", "a model's answer"),
        good=("The gateway answers with 404.", "They answer at once."),
        exceptions=r"\b(each|every|one|that|which) answers\b",
    ),
    Rule(
        r"\bcallers?\b",
        RETIRED,
        "'client' (of a function: 'calling code')",
        bad=("The caller's tools.",),
        good=("The client calls it.",),
    ),
    Rule(r"\bstrangers?\b", RETIRED, "'client without a key', 'untrusted', 'remote server'", bad=("a stranger",)),
    Rule(
        r"\bowners?\b",
        RETIRED,
        "'key' (of a job), 'user' (of a file), 'operator' (of the gateway)",
        bad=("The owner of the job.", "an owner s jobs"),
        good=("The files are owned by root.",),
        exceptions=r"\bfile('s)? owner|\bowner (and|or) (group|mode)|\bowner of (the|a) (file|directory)",
    ),
    Rule(
        r"\btold\b(?! apart\b)",
        RETIRED,
        "'sent', 'reported', 'notified', 'configured', 'given'; name the actor",
        bad=("As it was told by the client.", "The first is told by its type."),
        good=("The two can be told apart.", "The model is told that the tool failed."),
        exceptions=r"\b(model|Claude) (is|was|be) told\b",
    ),
    Rule(
        r"\b(thoughts?)\b(?! signatures?)",
        RETIRED,
        "'thinking', 'thinking block'",
        bad=("It holds no thoughts.",),
        good=("Gemini's thought signatures.", "The model's thinking."),
    ),
    Rule(
        r"\bplaces?\b",
        RETIRED,
        "'workspace', 'field path', 'slot', 'connection', 'position'",
        bad=("It finds a place in the queue.", "named with its place"),
        good=("It is changed in place.", "This takes place later.", "a text in place of each", "kept in one place"),
        exceptions=r"\bin place\b|\b(take|takes|taken|took|taking) (the )?place\b|\btakes? (its|their) place\b"
        r"|\bin (the first|one|its|their|the same) place\b|\bto place\b|\bplaces (it|them|the|a)\b"
        r"|\b(decimal|one|same) places?\b",
    ),
    Rule(
        r"\b(box|boxes|boxed|unboxed|boxing|enclosures?|enclosed)\b",
        RETIRED,
        "'sandbox', 'sandboxed'",
        bad=("An agent in its box.",),
        good=("An agent in its sandbox.", "Type it into the text box."),
        exceptions=r"\b(text|check|input|list|message|search|combo|select) box",
    ),
    Rule(
        r"\bhomes?\b(?! pages?\b| director(y|ies)\b| folder\b)",
        RETIRED,
        "'process directory', 'home directory' (of a user), 'module'",
        bad=("Every worker has a home.", "a home that is removed"),
        good=("The home page.", "Set $HOME to the home directory."),
        exceptions=r"\$HOME\b|(?-i:\bHOME\b)|/home\b",
    ),
    Rule(r"\bhous(ed|ing|es)\b", RETIRED, "'run in a sandbox', 'launch'", bad=("The server is housed.",)),
    Rule(
        r"\bown tools?\b",
        RETIRED,
        "'built-in tools' (of Claude Code), 'client tools'",
        bad=("Claude's own tools.",),
        good=("Claude's built-in tools.",),
    ),
    Rule(
        r"\bstand-ins?\b|\b(a|the) stand ins?\b",
        RETIRED,
        "'fake Anthropic API', 'substitute'",
        bad=("The stand-in replies.", "the stand in replies"),
        good=("Tools that stand in the list.",),
    ),
    Rule(
        r"\b(lies|liars?|lied|lying)\b",
        RETIRED,
        "'misbehaves', 'sends malformed replies'; 'is in' (of position)",
        bad=("A server that lies.",),
    ),
    Rule(r"\brivals?\b", RETIRED, "'active keys'", bad=("a rival key",)),
    Rule(r"\brosters?\b", RETIRED, "'list of processes'", bad=("the roster",)),
    Rule(
        r"\bresidents?\b",
        RETIRED,
        "'live conversation', 'reused'",
        bad=("a resident conversation",),
        good=("resident memory in MiB", "the resident set size"),
        exceptions=r"\bresident (memory|set|size|pages)\b",
    ),
    Rule(
        r"\b(take|takes|taken|taking|took) up\b(?! (space|room|memory|disk|time|much|more|most|all|a connection)\b)",
        RETIRED,
        "'resume', 'load'",
        bad=("The conversation was taken up.",),
        good=("It takes up space.",),
    ),
    Rule(r"\b(worn|unfit)\b", RETIRED, "'recycled', 'unhealthy'", bad=("The worker is worn.", "an unfit one")),
    Rule(r"[\"']needed[\"']", RETIRED, "'evicted'", bad=("It ended as 'needed'.",), good=("It is needed.",)),
    Rule(r"\b(patience|patient|patiently)\b", RETIRED, "'timeout'", bad=("It has the patience of a minute.",)),
    Rule(r"\b(heirs?|succession)\b", RETIRED, "'replacement'", bad=("The heir of a model.",)),
    Rule(
        r"(?<!long-)\bstandings?\b",
        RETIRED,
        "'state', 'status'",
        bad=("the standing of a key",),
        good=("a long-standing bug",),
    ),
    Rule(r"\bledgers?\b", RETIRED, "'usage records'", bad=("A line of the ledger.",)),
    Rule(r"\bbooks\b", RETIRED, "'usage records', 'counts'", bad=("The books are right.",)),
    Rule(r"\b(un)?seal(s|ed|ing)?\b", RETIRED, "'sign', 'verify'", bad=("What was sealed.", "unseal it")),
    Rule(
        r"\b(weigh|weighs|weighed|weighing)\b",
        RETIRED,
        "'measure', 'disk usage', 'memory usage'",
        bad=("It is weighed.",),
    ),
    Rule(r"\bsweeps?\b", RETIRED, "'cleanup', 'periodic task'", bad=("The sweep removes it.",)),
    Rule(r"\bhurr(y|ies|ied)\b", RETIRED, "'force'", bad=("hurry it up",)),
    Rule(
        r"\bcut (short|off|back)\b",
        RETIRED,
        "'interrupted', 'truncated', 'rewound'",
        bad=("An answer that was cut off.", "It can be cut back."),
        good=("The text is cut into chunks.",),
    ),
    Rule(
        r"\bboot(s|ed|ing)?\b",
        RETIRED,
        "'start' (of a process)",
        bad=("Wait for the boot of a worker.",),
        good=("Ticks since boot.", "the boot of a machine", "a machine that booted minutes ago"),
        exceptions=r"\b(since|after|at|the last|system|machine) boot\b|\bboot of (a|the) (machine|system|host)\b"
        r"|\b(machine|system|host|computer)\b[^.]{0,30}\bboot\w*",
    ),
    Rule(
        r"\b(its|their|whose) turn (comes|has come|came)\b|\bwait\w* (for )?(its|their|a) turn\b",
        "A turn is a message of a conversation.",
        "'slot', 'waiter', 'lock'",
        bad=("When its turn comes.",),
        good=("The turn of the user comes first.",),
    ),
    Rule(r"\bfor ever\b", "One word.", "'forever', 'without end'", bad=("It waits for ever.",)),
)

RULES = SENTENCES + WORDS

EXEMPTIONS: tuple[Exemption, ...] = ()
