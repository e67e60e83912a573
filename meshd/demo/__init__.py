"""`meshd demo`: pushes to a repository move the traffic of a real Envoy, on this machine, without root or network."""
