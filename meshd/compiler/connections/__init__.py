"""`tls` and `tcp` rules -> filter chains, and the order in which they must be tried."""
