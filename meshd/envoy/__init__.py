"""ProxyPlan -> Envoy protobuf, one file per resource type. All Istio meaning has ended before this room."""
