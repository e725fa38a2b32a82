"""Bars that were never traded: feed.py answers the port, walks.py makes the prices."""

from trading_playbook.feeds.simulated.feed import SimulatedFeed

__all__ = ["SimulatedFeed"]
