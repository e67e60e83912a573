"""Services as this host calls them: a DestinationRule in force becomes clusters, endpoints and secrets."""
