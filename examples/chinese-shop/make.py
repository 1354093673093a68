"""Writes the two tables of the guide docs/guide/chinese.zh-CN.md: a shop in Chinese, made up."""

from __future__ import annotations

import csv
import random
from pathlib import Path

HERE = Path(__file__).parent
SHELVES = {
    "户外": [
        ("双人帐篷", "四季防雨，户外露营过夜用"),
        ("羽绒睡袋", "零下十度也能在户外过夜"),
        ("充气防潮垫", "铺在帐篷里，隔开潮气"),
        ("露营灯", "可充电，夜里照亮营地"),
        ("登山杖", "铝合金，可以折叠"),
        ("折叠炉具", "在营地烧水做饭"),
        ("防水背包", "四十升，适合徒步"),
        ("望远镜", "看鸟看风景"),
    ],
    "厨房": [
        ("电饭煲", "三升，预约煮饭"),
        ("铸铁锅", "炖肉煎蛋都合适"),
        ("不锈钢保温杯", "保温十二小时"),
        ("菜刀", "切菜剁骨两用"),
        ("咖啡磨豆机", "手动，粗细可调"),
        ("玻璃饭盒", "可以进微波炉"),
        ("烤箱手套", "耐高温，防烫"),
        ("竹砧板", "双面可用"),
    ],
    "园艺": [
        ("修枝剪", "锋利省力，剪月季"),
        ("洒水壶", "五升，长嘴浇花"),
        ("营养土", "种花种菜通用"),
        ("陶土花盆", "透气，带托盘"),
        ("向日葵种子", "播种后两个月开花"),
        ("园艺手套", "防刺，耐磨"),
        ("堆肥桶", "厨余变成肥料"),
        ("自动浇花器", "出门一周也不怕"),
    ],
    "影音": [
        ("科幻片《星际归途》", "宇航员寻找回家的路"),
        ("恐怖片《午夜旧宅》", "恐怖、血腥，胆小勿看"),
        ("科幻片《机器之心》", "机器人学会了爱"),
        ("科幻恐怖片《深空异形》", "飞船上的恐怖生物"),
        ("喜剧片《开心饭馆》", "一家小饭馆的笑声"),
        ("蓝牙音箱", "小巧，低音足"),
        ("无线耳机", "降噪，续航一天"),
        ("纪录片《雪山》", "攀登者的一年"),
    ],
}
USERS = 80


def write() -> None:
    """Both tables; the same seed gives the same ones."""
    draw = random.Random(7)
    goods = [
        (f"S{shelf}{number}", name, label, text, draw.randint(19, 899))
        for shelf, (label, shown) in enumerate(SHELVES.items(), start=1)
        for number, (name, text) in enumerate(shown, start=1)
    ]
    _table("items.csv", ["商品", "名称", "类别", "描述", "价格"], goods)
    events = []
    for user in range(1, USERS + 1):
        own = list(SHELVES)[user % len(SHELVES)]
        for step in range(draw.randint(6, 12)):
            label = own if draw.random() < 0.8 else draw.choice(list(SHELVES))
            item = draw.choice([good for good in goods if good[2] == label])[0]
            liked = ["浏览", "浏览", "加入购物车", "购买"]
            act = draw.choice(liked) if label == own else draw.choice(["浏览", "不感兴趣"])
            moment = (
                f"2026-{1 + step % 9:02d}-{1 + user % 28:02d} {8 + step:02d}:{user % 60:02d}:00"
            )
            events.append((f"U{user}", item, act, moment))
    _table("interactions.csv", ["用户", "商品", "行为", "时间"], events)


def _table(name: str, head: list[str], rows: list[tuple[object, ...]]) -> None:
    with (HERE / name).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *rows])


if __name__ == "__main__":
    write()
