"""Traditional Chinese forms of the Chinese names that `column_names` and `kinds` hold."""

from __future__ import annotations

from collections.abc import Iterable

_PAIRS = """
专專 两兩 为為 举舉 乐樂 习習 书書 买買 产產 亲親 仓倉 价價 众眾
优優 会會 体體 关關 兴興 内內 册冊 写寫 击擊 创創 删刪 别別 剧劇
动動 务務 单單 卖賣 卫衛 厅廳 压壓 厌厭 参參 发發 号號 后後 听聽
员員 咨諮 图圖 场場 处處 备備 复復 学學 宝寶 实實 对對 导導 属屬
岗崗 币幣 库庫 应應 废廢 开開 弃棄 归歸 录錄 当當 态態 总總 愿願
戏戲 户戶 报報 换換 据據 数數 断斷 无無 旧舊 时時 显顯 机機 权權
条條 来來 极極 标標 样樣 检檢 欢歡 气氣 没沒 况況 浏瀏 满滿 点點
爱愛 状狀 环環 现現 电電 码碼 确確 种種 称稱 笔筆 签簽 简簡 类類
级級 约約 纬緯 绍紹 经經 结結 绝絕 绩績 续續 综綜 缓緩 编編 职職
联聯 节節 荐薦 药藥 虑慮 装裝 观觀 视視 览覽 订訂 计計 认認 讨討
讯訊 记記 论論 设設 访訪 证證 评評 诉訴 词詞 试試 话話 询詢 该該
详詳 请請 读讀 课課 谢謝 谱譜 负負 财財 败敗 账帳 货貨 质質 购購
费費 资資 赎贖 赏賞 赞讚 赠贈 转轉 载載 较較 辑輯 达達 过過 运運
还還 进進 适適 选選 递遞 邮郵 钟鐘 铺鋪 销銷 链鏈 错錯 键鍵 长長
闭閉 问問 间間 闻聞 阅閱 险險 隐隱 难難 项項 预預 频頻 题題 额額
风風 饪飪 饭飯 馆館 馈饋 骑騎 顾顧 车車 门門
"""
_FORMS = str.maketrans({pair[0]: pair[1] for pair in _PAIRS.split()})
_JAPANESE = frozenset("時間 種類 題材 評価 注文 返品".split())
"""Forms that are Japanese names with a meaning of their own."""


def traditional(text: str) -> str:
    """Return a text with traditional characters in place of simplified ones."""
    return text.translate(_FORMS)


def with_traditional(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names, and after them their traditional forms where these differ."""
    names = tuple(names)
    known = {*names, *_JAPANESE}
    forms = dict.fromkeys(traditional(name) for name in names)
    return (*names, *(form for form in forms if form not in known))
