"""`from trading_playbook import backtest`: the same rows as the command's, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import trading_playbook
from tests.support.door import Door, rows_of, tree
from tests.support.market import DAYS, END, START, Market, make_market
from trading_playbook import Journal, backtest
from trading_playbook.core.errors import CheckData, FixConfig, FixRequest, NoData, PlaybookError
from trading_playbook.core.journal import HEADER, row_cells


def cells_of(journal: Journal) -> list[dict[str, str]]:
    return [dict(zip(HEADER, row_cells(row), strict=True)) for row in journal.rows]


def judged(market: Market, *days: str, **options: Any) -> Journal:
    start, end = days or (START, END)
    return backtest("QQQ", start, end, feed="files", data_dir=market.root, **options)


class TestRows:
    def test_rows_are_those_of_the_commands_journal(self, door: Door, tmp_path: Path) -> None:
        market, path = make_market(tmp_path / "bars", ("QQQ", "NVDA")), tmp_path / "trades.csv"
        options: Mapping[str, Any] = {"params": {"stop_atr": 1.5, "window_end": "10:44"}, "cost": "bps:1.5"}
        call = (*market.call, "--symbol", "NVDA,QQQ", "--start", START, "--end", END, "--output", path)
        assert door(*call, "--param", "stop_atr=1.5", "--param", "window_end=10:44", "--cost", "bps:1.5").code == 0
        for symbols in ("QQQ,NVDA", ["NVDA", "QQQ"], ("qqq", "NVDA", "QQQ"), iter(["QQQ", "NVDA"])):
            journal = backtest(symbols, START, END, feed="files", data_dir=market.root, **options)
            assert cells_of(journal) == rows_of(path)
            assert list(journal) == list(journal.rows)
            assert len(journal) == 2 * len(DAYS)
            assert not journal.errors

    def test_dates_may_be_dates_or_text_and_paths_text_or_paths(self, market: Market) -> None:
        first, last = date.fromisoformat(START), date.fromisoformat(END)
        expected = judged(market).rows
        assert backtest("QQQ", first, last, feed="files", data_dir=str(market.root)).rows == expected
        assert backtest("QQQ", pd.Timestamp(first), datetime(2025, 12, 5), data_dir=market.root).rows == expected

    def test_statistics_are_those_of_its_rows(self, market: Market) -> None:
        journal = judged(market, cost="per_share:0.01")
        trades = [row for row in journal.rows if row.entered]
        figures = journal.statistics
        assert (figures.sessions, figures.trades) == (len(DAYS), len(trades))
        assert figures.net_pnl == pytest.approx(sum(row.net_pnl or 0 for row in trades))
        assert sum(figures.reasons.values()) == len(DAYS) - len(trades)

    def test_a_frame_holds_the_columns_of_the_journal_in_types_that_fit(self, market: Market) -> None:
        journal = judged(market)
        frame = journal.to_pandas()
        assert tuple(frame.columns) == HEADER
        assert len(frame) == len(DAYS)
        assert frame["trade_date"].dt.strftime("%Y-%m-%d").tolist() == list(DAYS)
        assert frame["entered?"].dtype == "boolean"
        assert frame["shares"].dtype == "Int64"
        assert frame["net_pnl"].sum() == pytest.approx(journal.statistics.net_pnl)
        assert frame["entry_price"].isna().sum() == len(DAYS) - journal.statistics.trades

    def test_a_frame_of_nothing_has_its_columns_and_types_all_the_same(self, market: Market) -> None:
        nothing = backtest("QQQ", "1999-06-01", "1999-06-30", feed="simulated")
        frame = nothing.to_pandas()
        assert (len(nothing), tuple(frame.columns)) == (0, HEADER)
        assert frame.dtypes.equals(judged(market).to_pandas().dtypes)
        assert nothing.statistics.win_rate is None

    def test_the_package_names_its_door_and_nothing_that_is_not_there(self) -> None:
        assert trading_playbook.backtest is backtest
        with pytest.raises(AttributeError, match="nothing"):
            _ = trading_playbook.nothing


class TestWriting:
    def test_without_a_place_nothing_is_written(self, market: Market, own_folder: Path) -> None:
        before = tree(own_folder.parent)
        judged(market)
        assert tree(own_folder.parent) == before

    @pytest.mark.parametrize("as_type", [str, Path])
    def test_with_one_the_journal_is_that_of_the_command(
        self, door: Door, market: Market, tmp_path: Path, as_type: type
    ) -> None:
        ours, theirs = tmp_path / "ours" / "trades.csv", tmp_path / "theirs" / "trades.csv"
        judged(market, output=as_type(ours))
        assert door(*market.call, "--symbol", "QQQ", "--start", START, "--end", END, "--output", theirs).code == 0
        assert ours.read_bytes() == theirs.read_bytes()
        assert len(list((ours.parent / "runs").iterdir())) == 1
        again = judged(market, output=as_type(ours))
        assert (len(again), ours.read_bytes()) == (len(DAYS), theirs.read_bytes())

    def test_a_conflict_is_among_the_errors_and_revise_settles_it(self, market: Market, journal: Path) -> None:
        judged(market, output=journal)
        for day in list(market.closes["QQQ"])[:60]:
            market.closes["QQQ"][day] += 1
        found = judged(market.save(), output=journal)
        assert {type(error).__name__ for error in found.errors} == {"ReviewConflict"}
        assert not judged(market, output=journal, revise=True).errors
        assert {row["revision"] for row in rows_of(journal)} == {"1"}

    def test_settings_count_here_too(self, market: Market) -> None:
        Path(".env").write_text(f"DATA_FEED=files\nDATA_DIR={market.root}\nCOST=bps:1.5\n", encoding="utf-8")
        assert {row.params_hash for row in backtest(start=START, end=END).rows} == {"p37dc09e94f5a"}


class TestErrors:
    @pytest.mark.parametrize(
        ("days", "options", "error", "words"),
        [
            (("2025-02-30", END), {}, FixRequest, "is no date"),
            ((END, START), {}, FixRequest, "lies before the start"),
            (("2025-11-29", "2025-11-30"), {}, FixRequest, "closed"),
            ((START, "2031-01-01"), {}, FixRequest, "after the exchange calendar"),
            ((START, END), {"params": {"stop": 1}}, FixRequest, "no parameter 'stop'"),
            ((START, END), {"params": {"shares": True}}, FixRequest, "shares"),
            ((START, END), {"params": {"stop_atr": float("nan")}}, FixRequest, "stop_atr"),
            ((START, END), {"cost": "cheap"}, FixRequest, "cost"),
            ((START, END), {"strategy": "dp21"}, FixRequest, "dp21"),
            ((START, END), {"accept": ["QQQ:2025-11-27"]}, FixRequest, "closed on 2025-11-27"),
            ((START, END), {"accept": ["SPY:2025-11-26"]}, FixRequest, "but the run is of QQQ"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_the_right_error_is_raised(
        self,
        market: Market,
        days: tuple[str, str],
        options: Mapping[str, Any],
        error: type[PlaybookError],
        words: str,
    ) -> None:
        with pytest.raises(error, match=words):
            judged(market, *days, **options)

    def test_a_symbol_that_is_none_or_has_no_file_is_raised(self, market: Market) -> None:
        for symbol, words in (("../QQQ", "is no symbol"), ("ZZZ", "no file of bars")):
            with pytest.raises(FixRequest, match=words):
                backtest(symbol, START, END, data_dir=market.root)

    def test_without_keys_the_configuration_is_raised(self) -> None:
        with pytest.raises(FixConfig, match="ALPACA_API_KEY and ALPACA_SECRET_KEY are not set"):
            backtest("QQQ", START, END)

    def test_where_no_session_could_be_judged_the_gravest_error_is_raised(self, market: Market) -> None:
        market.cut(DAYS[-1], "09:30")
        with pytest.raises(NoData, match=f"QQQ {DAYS[-1]}"):
            judged(market, DAYS[-1], DAYS[-1])
        market.set(DAYS[-2], "10:00", low=0.0)
        with pytest.raises(CheckData, match="low is 0"):
            judged(market, DAYS[-2], DAYS[-2])

    def test_where_some_could_the_others_are_among_the_errors(self, market: Market) -> None:
        market.set(DAYS[-1], "10:00", low=0.0)
        journal = judged(market)
        (error,) = journal.errors
        assert isinstance(error, CheckData)
        assert (error.symbol, str(error.session), error.bar, error.field) == ("QQQ", DAYS[-1], "10:00", "low")
        assert len(journal) == len(DAYS) - 1

    @pytest.mark.parametrize(
        "day", [1704067200, 20260203, 1704067200.0, np.datetime64("2026-02-03"), True, ("2026", "02", "03")], ids=repr
    )
    def test_what_is_no_date_is_refused_as_the_command_does(self, market: Market, day: Any) -> None:
        with pytest.raises(FixRequest, match="is no date"):
            backtest("QQQ", day, day, data_dir=market.root)

    @pytest.mark.parametrize("symbols", ["", " ", ",", [], ()], ids=repr)
    def test_no_symbol_is_not_every_symbol(self, market: Market, symbols: Any) -> None:
        with pytest.raises(FixRequest, match="symbol"):
            backtest(symbols, START, END, data_dir=market.root)

    def test_a_feed_that_is_none_is_named(self, market: Market) -> None:
        with pytest.raises(FixRequest, match="yahoo"):
            backtest("QQQ", START, END, feed="yahoo", data_dir=market.root)

    @pytest.mark.parametrize(
        "options",
        [{"output": "a\0b"}, {"cost": 5}, {"params": {5: 1}}, {"params": ["shares"]}, {"strategy": 5}],
        ids=repr,
    )
    def test_what_is_of_the_wrong_kind_is_refused(self, market: Market, options: Mapping[str, Any]) -> None:
        with pytest.raises(PlaybookError):
            judged(market, **options)
