"""Where revisions come from: a git repository through a bare mirror, or a plain directory."""
