"""PostgreSQL and NATS as supervised children: what the demo and the tests run on."""
