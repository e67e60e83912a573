"""The Envoy processes of this host: started, watched, hot restarted."""
