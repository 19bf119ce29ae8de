"""Messages pushed over HTTP: webhooks of network servers, NB-IoT carriers, programs of others."""
