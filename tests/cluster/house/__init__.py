"""A house of several nodes: the database and its standby, the nodes, and the balancer in front of them."""
