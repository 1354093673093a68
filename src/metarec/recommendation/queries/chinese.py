"""Parser of Chinese clauses into wanted and unwanted phrases: "没有血腥的科幻" wants 科幻
and not 血腥.

A negation applies up to the next 的, after which the wanted phrase follows, or to the end of the
clause; words that only contain a negation character (特别, 不错, 无线) are not negations.
"""

from __future__ import annotations

import re

HAN = re.compile(r"[㐀-鿿]")
_TAIL = r"(?:吧|吗|呢|啊|了|谢谢|可以吗|好吗|都可以|都行|都好|就行|就好)*"
_CUE = re.compile(
    r"(?:千万|最好|但愿|希望|请)*(?:"
    r"不要(?:再)?|不想(?:要|再)?|不喜欢|不爱|不希望|不需要|不带|不含|不是|不(?:太|那么|够)"
    r"|讨厌|拒绝|避免|避开|排除|除了|除去|少一?些|少一?点"
    r"|(?<!有)没有(?!什么比)|(?<![特个分区性级类识告离])别(?![墅致具称人])"
    r"|不(?=[㐀-鿿]{1,4}的[㐀-鿿])(?!错|同|一样|可|少|断|仅|锈|粘|倒|凡|朽|二|败|死|规则|对称|限)"
    r")"
)
"""Negations in front of the unwanted phrase."""
_AFTERWARDS = re.compile(
    rf"^(.+?)的?(?:除外|就算了|免了|不要|不行|就别|不看|不考虑|以外都){_TAIL}$"
)
"""Negations behind the unwanted phrase."""
_GENERIC = re.compile(
    r"的?(?:(?:那|这)?(?:种|类|样)(?:的)?|电影|影片|片子|内容|东西|节目|题材|类型|商品|物品|作品|故事)$"
)
"""Generic nouns such as film or thing: refusing one refuses only its attribute."""
_LEAD = re.compile(
    r"^(?:请|帮我|给我|为我|推荐|来|我们?|想(?:要|看|听|买|找|吃|读)?|要(?:看|听|买|找)?"
    r"|找|有没有|有什么|一些|一点|些|点|几[部本个款]|任何|太|再|过于|带有?|含有?|是|看|有)"
)
"""Filler words at the start of a phrase."""
_END = re.compile(
    r"(?:以外|之外|吧|吗|呢|啊|了|的|谢谢|可以吗|好吗|什么|都可以|都行|都好|就行|就好)$"
)
"""Filler words at the end of a phrase."""
_JOINED = re.compile(r"、|和|与|以及|及|或者?|还有|也")


def read_clause(clause: str) -> tuple[list[str], list[str]]:
    """Return the wanted and the unwanted phrases of a clause."""
    if (after := _AFTERWARDS.match(clause)) is not None and not _CUE.search(after[1]):
        return [], _phrases(after[1], is_wanted=False)
    pieces = _CUE.split(clause)
    wanted, unwanted = _phrases(pieces[0], is_wanted=True), []
    for part in pieces[1:]:
        refused, of, item = part.partition("的")
        if of and item and not _GENERIC.fullmatch(f"的{item}"):
            wanted += _phrases(item, is_wanted=True)
        else:
            refused = part
        unwanted += _phrases(refused, is_wanted=False)
    return wanted, unwanted


def _phrases(text: str, *, is_wanted: bool) -> list[str]:
    """Split conjunctions of unwanted phrases, and strip filler words from all."""
    parts = [text] if is_wanted else _JOINED.split(text)
    trimmed = [_trim(part, is_wanted=is_wanted) for part in parts]
    return [part for part in trimmed if part]


def _trim(text: str, *, is_wanted: bool) -> str:
    """Strip quotes and filler words from both ends of a phrase."""
    before = None
    text = text.strip(" \t\"'“”()（）-—")
    while text != before:
        before = text
        text = _END.sub("", _LEAD.sub("", text)).strip()
        if not is_wanted:
            text = _GENERIC.sub("", text)
    return text
