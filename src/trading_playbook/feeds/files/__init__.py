"""Bars that a person has: a folder of parquet or CSV files, or one such file.

feed.py answers the port; layout.py knows which file holds what, contents.py what a file of bars means; the rest reads
columns, numbers, times and dates out of either kind of file.
"""

from trading_playbook.feeds.files.feed import FilesFeed

__all__ = ["FilesFeed"]
