"""DNS names -> addresses, with the last known good answer kept."""
