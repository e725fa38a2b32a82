"""Bars from Alpaca's market data API. client: asks; answers: translates; feed: the BarFeed."""

from trading_playbook.feeds.alpaca.client import DATA_URL as DATA_URL
from trading_playbook.feeds.alpaca.client import LIVE_URL as LIVE_URL
from trading_playbook.feeds.alpaca.client import PAPER_URL as PAPER_URL
from trading_playbook.feeds.alpaca.client import AlpacaClient as AlpacaClient
from trading_playbook.feeds.alpaca.client import AlpacaKeys as AlpacaKeys
from trading_playbook.feeds.alpaca.client import GetKeys as GetKeys
from trading_playbook.feeds.alpaca.feed import AlpacaFeed as AlpacaFeed
