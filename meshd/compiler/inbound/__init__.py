"""How others reach the services of a host (spec section 10), and a Sidecar's ingress."""
