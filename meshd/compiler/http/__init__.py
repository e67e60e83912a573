"""`http` rules -> routes, and the virtual hosts that hold them; the same for sidecars and gateways."""
