"""What every engine behind HTTP shares; it knows no engine. aiohttp and prometheus_client are imported by
:mod:`.client` and :mod:`.metrics` only.

An adapter's ``check`` calls :func:`.packages.check_packages` and, for a server that is running already,
:func:`.endpoint.check_endpoint`. Its ``start`` takes that endpoint's root, or starts an :class:`.own_server.OwnServer`
and waits until it is ready; makes one :class:`.client.ServerClient` with the key of the environment; asks
:func:`.served.served_model` what is there. ``generate`` reads :meth:`.client.ServerClient.events`, ``counters`` gives
the metrics page to :class:`.metrics.Scrape`, and ``stop`` closes the client, then the server's process. A
:class:`.client.ServerDownError` goes through :meth:`.own_server.OwnServer.explain` where the server is ours. A command
line of the user's own is read by :mod:`.command`.
"""
