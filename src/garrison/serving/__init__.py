"""Serving: a guard in front of a model server and inside it.

A request is a `Call`, whatever it came by (REST, gRPC, a runtime inside the server). It goes through stages,

    authenticate → authorise → admit → screen → forward → observe → protect → record

each a small module that sees calls and answers and neither sockets nor frameworks. Adapters (`http`, `grpc`,
`mlserver`) turn what came into a `Call`, hand it to `Guard.answer`, and give the `Answer` back.
"""
