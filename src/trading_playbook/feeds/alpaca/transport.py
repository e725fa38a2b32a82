"""One GET at one of Alpaca's hosts, by alpaca-py's client. Imported when the first call is made.

alpaca-py has no timeout, waits by itself, and tries again without end in sight; it decodes each answer to text, which
may take longer than to receive it. What is used of it is how a request is made: address, version, keys, user agent.
"""

from __future__ import annotations

from typing import Any, cast

from alpaca.common.rest import RESTClient
from requests import RequestException, Response
from requests.exceptions import InvalidProxyURL, InvalidSchema, InvalidURL, MissingSchema
from urllib3.exceptions import LocationValueError

from trading_playbook.core.errors import FixConfig
from trading_playbook.network.deadlines import DeadlineAdapter, ending_within
from trading_playbook.network.retries import Temporary

LARGEST_ANSWER = 64 * 2**20
"""Bytes. A page of 10,000 bars has about 1.2 million."""

_PIECE = 2**16


class Host(RESTClient):
    """One of Alpaca's hosts."""

    def __init__(self, url: str, key: str, secret: str) -> None:
        super().__init__(base_url=url, api_key=key, secret_key=secret, raw_data=True)
        self._session.mount("https://", DeadlineAdapter())
        self._session.mount("http://", DeadlineAdapter())

    def fetch(self, path: str, params: dict[str, str], version: str, seconds: float) -> tuple[Response, bytes]:
        """The answer and its body, whatever its status.

        Raises Temporary where no whole answer came within so many seconds, FixConfig where the address cannot be one.
        Messages are without those of the library, which may hold what was sent.
        """
        url = str(self._base_url)
        with ending_within(seconds) as deadline:
            self._timeouts = deadline.timeouts
            try:
                with cast(Response, self._request("GET", path, params, api_version=version)) as response:
                    body = _body(response)
            except InvalidProxyURL:
                raise FixConfig(f"{url} cannot be reached: the proxy in the environment is no address") from None
            except (InvalidSchema, InvalidURL, MissingSchema, LocationValueError):
                raise FixConfig(
                    f"{url} is no address of a server: mend ALPACA_DATA_URL or ALPACA_TRADING_URL"
                ) from None
            except (RequestException, OSError) as error:
                if not deadline.passed:
                    raise Temporary(f"{url} could not be read: {type(error).__name__}") from None
        if deadline.passed:  # what was read then may look whole, and is not
            raise Temporary(f"{url} gave no whole answer within {seconds:.0f} seconds")
        return response, body

    def close(self) -> None:
        self._session.close()

    def _one_request(  # type: ignore[override] # the whole answer is wanted, not its JSON alone
        self, method: str, url: str, opts: dict[str, Any], retry: int
    ) -> Response:
        return self._session.request(method, url, timeout=self._timeouts, stream=True, **opts)


def _body(response: Response) -> bytes:
    body = bytearray()
    for piece in response.iter_content(_PIECE):
        body += piece
        if len(body) > LARGEST_ANSWER:
            raise Temporary(f"an answer has more than {LARGEST_ANSWER // 2**20} MiB")
    return bytes(body)
