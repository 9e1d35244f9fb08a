"""Measurements on loopback. Each module is one, and starts the proxy it measures: `python -m bench.hold`."""
