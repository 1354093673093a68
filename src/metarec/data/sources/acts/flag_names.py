"""Names of columns of yes and no that are no forms of a kind's name."""

from __future__ import annotations

import re

IN_OTHER_WORDS = {
    **dict.fromkeys(("hidden", "已隐藏"), "hide"),
    **dict.fromkeys(("interested", "isinterested", "感兴趣", "是否感兴趣"), "like"),
    **dict.fromkeys("taken wastaken istaken consumed".split(), "complete"),
    **dict.fromkeys("已服用 是否服用 已服药".split(), "complete"),
    **dict.fromkeys("showup showedup turnedup".split(), "attend"),
    **dict.fromkeys("paid ispaid haspaid".split(), "pay"),
    **dict.fromkeys("已付款 是否付款 是否支付 已支付".split(), "pay"),
    **dict.fromkeys(
        "recommended recommend isrecommended "
        "wouldrecommend votedup 推荐 是否推荐 wasthishelpful "
        "wasthisarticlehelpful wasthispagehelpful wasithelpful didthishelp didyoulikeit "
        "didyouenjoyit wouldbuyagain wouldyoubuyagain wouldorderagain".split(),
        "recommend",
    ),
    **dict.fromkeys("void voided reversal reversed annulled".split(), "cancel"),
    **dict.fromkeys("storno 作废 已作废".split(), "cancel"),
    **dict.fromkeys("didnotattend didntattend absent missed".split(), "noshow"),
    **dict.fromkeys("optout optedout hasoptedout".split(), "optout"),
}
"""Other names of columns of yes and no, as `plain` returns them -> kind."""
A_FLAG = re.compile(
    r"(?<=\w)[_\s-]?(ind|indicator|flag|yn|y/n|kennzeichen|kz)$"
    r"|(?<=\w)[_\s-]?(フラグ|여부|标志|标识|標誌|標識)$",
    re.IGNORECASE,
)
"""Ending of names of columns of yes and no: `cancel_flag`."""
