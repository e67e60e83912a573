"""Redirecting this host's connections to its sidecar: settings -> one table of the kernel, loaded or removed."""
