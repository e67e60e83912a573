"""systemd of this host, asked over D-Bus to start, stop and reload units."""
