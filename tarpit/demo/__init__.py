"""`tarpit demo`: the real proxy among toys, all of it on loopback.

A backend that prints what it receives, a DNSBL zone that lists some addresses, and a dozen peers,
clean and bad. The proxy in the middle is the one that `tarpit run` starts, with short delays;
nothing here is used outside the demonstration.
"""
