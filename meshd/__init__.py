"""meshd: Istio's routing API for plain Linux hosts, by git push."""

__version__ = "0.1.0"
