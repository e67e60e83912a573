"""(mesh, host) -> ProxyPlan. All Istio meaning ends in this room."""
