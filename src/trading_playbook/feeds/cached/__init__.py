"""The cache of a network feed. feed: the BarFeed; files: what a file holds; shelf: the store that may fail."""

from trading_playbook.feeds.cached.feed import CachedFeed as CachedFeed
