"""A rendered plan on its way into the proxies: judged, staged, pushed in order, confirmed or rolled back."""
