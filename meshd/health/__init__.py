"""Whether the workloads of this host are healthy, as their probes find (spec W-12 to W-17)."""
