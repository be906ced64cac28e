"""Comparing codecs: sequences × codecs × rate points, from real files, by one command.

`config` reads what to do, `job` codes and measures one point, `runner` runs many, `results` reads
them back, `compare` makes BD-rates of them and `report` a page.
"""
