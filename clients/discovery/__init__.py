"""Where the services, the OTLP endpoint and the query API are, and whether they answer."""
