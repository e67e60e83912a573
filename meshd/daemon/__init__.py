"""The daemon: triggers, backoff, sd_notify, the control socket, and all wiring of the rooms. `main.run` runs it."""
