"""What is loaded when: nothing heavy for a look at the help, and no pandas on the way of the data."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.market import make_market
from tests.support.modules import loaded_after

HEAVY = {"pandas", "pyarrow", "numpy", "pydantic", "pydantic_settings", "dotenv", "rich", "google", "alpaca", "pymongo",
         "fastapi", "httpx", "requests", "plotly", "exchange_calendars", "polars", "apprise", "concurrent.futures",
         "asyncio", "multiprocessing"}  # fmt: skip
OURS = {"numpy", "pyarrow", "pydantic", "pydantic_settings", "dotenv"}
"""What a run needs, with what these load in turn."""

FOREIGN = HEAVY - OURS - {"asyncio", "concurrent.futures", "multiprocessing"}


def test_importing_the_package_loads_nothing_heavy(tmp_path: Path) -> None:
    assert not loaded_after("import trading_playbook", tmp_path) & HEAVY


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["journal"], *([*verb.split(), "--help"] for verb in ("journal", "journal show", "journal recheck",
     "runs", "status")), ["journal", "export", "--format", "parquet"], ["runs", "--limit", "0"]],
    ids=" ".join,
)  # fmt: skip
def test_help_and_usage_errors_of_other_commands_load_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    script = (
        "from trading_playbook.cli.main import main\n"
        "import contextlib, io\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()):\n"
        f"    main({arguments!r})\n"
    )
    assert not loaded_after(script, tmp_path) & HEAVY


def test_looking_at_a_journal_loads_no_pandas_and_an_export_no_more_than_it_writes(tmp_path: Path) -> None:
    run = "from trading_playbook.cli.main import main\nimport os\nos.environ['OUTPUT_DIR'] = '.'\n"
    backtest = ["backtest", "--feed", "simulated", "--start", "2025-11-03", "--end", "2025-11-28"]
    found = loaded_after(f"{run}assert main({backtest!r}) == 0", tmp_path)
    for words in (["journal", "show"], ["journal", "verify"], ["journal", "export", "-o", "x.json"], ["runs"]):
        found = loaded_after(f"{run}assert main({words!r}) == 0", tmp_path)
        assert not found & (FOREIGN | {"pyarrow"})
    found = loaded_after(f"{run}assert main(['status']) == 3", tmp_path)
    assert not found & (FOREIGN | {"pyarrow"})
    found = loaded_after(f"{run}assert main(['journal', 'export', '-o', 'x.parquet']) == 0", tmp_path)
    assert not found & FOREIGN
    assert "pyarrow" in found


@pytest.mark.parametrize("arguments", [["--help"], ["--bogus"], [], ["--start", "2025-02-30"]], ids=" ".join)
def test_help_and_usage_errors_load_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    for module, first in (
        ("trading_playbook.cli.backtest", []),
        ("trading_playbook.cli.main", ["backtest"]),
        ("trading_playbook.cli.main", ["cache", "prune"]),
    ):
        script = (
            f"from {module} import main\n"
            "import contextlib, io\n"
            "with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()):\n"
            f"    main({[*first, *arguments]!r})\n"
        )
        assert not loaded_after(script, tmp_path) & HEAVY


def test_the_door_for_python_loads_pandas_when_a_frame_is_asked_for_and_not_before(tmp_path: Path) -> None:
    script = (
        "from trading_playbook import backtest\njournal = backtest('QQQ', '2025-01-02', '2025-01-31', feed='simulated')"
    )
    assert not loaded_after(script, tmp_path) & (FOREIGN | {"pyarrow"})
    assert "pandas" in loaded_after(script + "\njournal.to_pandas()", tmp_path)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_run_of_one_symbol_and_one_year_loads_no_pandas(tmp_path: Path, suffix: str) -> None:
    market = make_market(tmp_path / "bars", start="2024-11-01", end="2025-10-31", suffix=suffix)
    arguments = [*market.call, "--symbol", "QQQ", "--start", "2024-11-01", "--end", "2025-10-31"]
    script = (
        f"from trading_playbook.cli.backtest import main\nassert main({[*arguments, '--output', 'trades.csv']!r}) == 0"
    )
    found = loaded_after(script, tmp_path)
    assert not found & FOREIGN
    assert not found & {"pyarrow.compute", "pyarrow.dataset", "pyarrow.pandas_compat"}
    assert ("pyarrow" in found) is (suffix == ".parquet")
    assert (tmp_path / "trades.csv").read_bytes().count(b"\n") == 251
