"""Rendered generations -> judged, stored on disk, and acknowledged by the Envoys of this host."""
