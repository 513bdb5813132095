"""Retrieved and typed text made harmless for a prompt, with as little visible change as will do."""

from __future__ import annotations

import re

from minirag.models.markers import defuse_markers

__all__ = ["defuse_passage", "defuse_template_tokens"]

# Characters no reader sees, in which instructions can be hidden: tags, bidirectional controls, variation selectors beyond
# the sixteen that choose glyphs, zero-width and control characters. Joiners stay: Persian and Indic scripts and emoji need them.
_INVISIBLE = re.compile(
    "[\U000e0000-\U000e007f\U000e0100-\U000e01ef\u202a-\u202e\u2066-\u2069\u200b\u200e\u200f\u2060-\u2064\ufeff\u00ad"
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]"
)

# Special tokens of chat templates: <|im_start|>, <|eot_id|>, <｜User｜>, </s>, <start_of_turn>, <<SYS>>, [INST], [TOOL_CALLS].
_BAR_TOKEN = re.compile(r"<([|｜][^<>\n]{1,60}[|｜])>")
_ANGLE_TOKEN = re.compile(
    r"<(/?\s*(?:s|bos|eos|pad|unk|mask|sys|system|user|assistant|human|model|instructions?|think|thinking|tool_?calls?|tool_response"
    r"|tool_results?|function_(?:calls?|results?)|(?:start|end)_of_turn|end_of_(?:text|utterance)|(?:begin|end)▁of▁sentence"
    r"|passage[\w-]*|documents?|context)\b[^<>\n]{0,80})>",
    re.IGNORECASE,
)
_SQUARE_TOKEN = re.compile(
    r"\[(/?\s*(?:INST|SYS|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|PREFIX|SUFFIX|MIDDLE|IMG)\s*)\]",
    re.IGNORECASE,
)
_DOUBLE_ANGLE = re.compile(r"<<(\s*/?\s*SYS\s*)>>", re.IGNORECASE)

# A line that speaks in a role: "System:", "### Assistant:", "**User**:". Its colon becomes one that templates do not know.
_LINE_BEGINS = r"(?<![^\n\r\x85\u2028\u2029])"
_ROLE_LINE = re.compile(
    rf"({_LINE_BEGINS}[ \t>#*_-]*(?:system|assistant|user|human|developer|tool|model|instructions?|response|ai)"
    r"(?:[ \t](?:prompt|message|note))?[*_ \t]*)[:：]",
    re.IGNORECASE,
)
_ROLE_HEADING = re.compile(
    rf"({_LINE_BEGINS}[ \t]*)(#{{2,}})(?=[ \t]*(?:system|assistant|user|human|instructions?|response|input|output)\b)",
    re.IGNORECASE,
)


def defuse_template_tokens(text: str) -> str:
    """Return `text` with chat-template tokens in look-alike brackets (`‹|im_start|›`) and without invisible characters."""
    text = _INVISIBLE.sub("", text)
    text = _DOUBLE_ANGLE.sub(r"‹‹\1››", text)
    text = _BAR_TOKEN.sub(r"‹\1›", text)
    text = _ANGLE_TOKEN.sub(r"‹\1›", text)
    return _SQUARE_TOKEN.sub(r"［\1］", text)


def defuse_passage(text: str) -> str:
    """Return `text` as it may stand in a fence: template tokens, role lines and markers defused.

    A role line's colon becomes `∶`, the hashes of a heading such as `### Instruction` become `＃`, a marker `[3]` becomes `(3)`.
    Only the prompt holds this form; citations quote the document as it is.
    """
    text = defuse_template_tokens(text)
    text = _ROLE_LINE.sub(r"\1∶", text)
    text = _ROLE_HEADING.sub(lambda match: match[1] + "＃" * len(match[2]), text)
    return defuse_markers(text)
