"""trading-playbook serve: the service, on uvicorn."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from trading_playbook.core.errors import FixConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORT = 8080
GRACE_SECONDS = 8
"""What is under way when the process is told to go has so long to end; Cloud Run kills after ten."""

DESCRIPTION = """\
Serve POST /backtest, the journal, the records of runs, figures and health over HTTP. Settings come from the environment
and .env; AUTH says who may call. The same as: uvicorn trading_playbook.service.app:app
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("serve", help="the service over HTTP", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--host", default=None, help="the address to listen on (default: 127.0.0.1; on Cloud Run all)")
    parser.add_argument("--port", type=int, default=None, help=f"the port (default: PORT, else {DEFAULT_PORT})")
    parser.set_defaults(command=serve, parser=parser)


def serve(chosen: argparse.Namespace) -> int:
    import uvicorn

    from trading_playbook.config import on_cloud_run
    from trading_playbook.service.app import State, app

    # Here and not only when the server starts, so that a wrong setting ends with its message and exit code 2.
    app.state.playbook = State(os.environ)
    host = chosen.host or ("0.0.0.0" if on_cloud_run() else "127.0.0.1")
    uvicorn.run(
        app,
        host=host,
        port=chosen.port or _port(os.environ),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=30,
    )
    return 0


def _port(environment: Mapping[str, str]) -> int:
    told = environment.get("PORT", "").strip() or str(DEFAULT_PORT)
    if not told.isdecimal() or not 0 < int(told) < 65536:
        raise FixConfig(f"PORT is {told[:20]!r}; expected a number from 1 to 65535")
    return int(told)
