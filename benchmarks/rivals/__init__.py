"""The same play in other people's ways: plain pandas, polars, backtesting.py. Each has judge() and main()."""
