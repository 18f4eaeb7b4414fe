"""`python -m examples.oauth --database URL --provider NAME ISSUER CLIENT_ID`."""

from __future__ import annotations

import argparse
import os
import socket
import warnings

import authlib.deprecate
import uvicorn

from authsql.keyring import Keyring

# Authlib would like httpx2 better, and says so at each start.
warnings.filterwarnings("ignore", "The httpx module", authlib.deprecate.AuthlibDeprecationWarning)

from examples.oauth.app import App  # noqa: E402
from examples.oauth.client import Client, Provider  # noqa: E402


def main() -> None:
    """Serve the example on 127.0.0.1."""
    parser = argparse.ArgumentParser(prog="python -m examples.oauth", description=__doc__)
    parser.add_argument("--database", required=True, metavar="URL", help="migrated: authsql migrate")
    parser.add_argument(
        "--provider",
        action="append",
        required=True,
        nargs=3,
        metavar=("NAME", "ISSUER", "CLIENT_ID"),
        help="once or more; its secret, if it has one, is in the environment variable OAUTH_NAME_SECRET",
    )
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free")
    arguments = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", arguments.port))
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    providers = [
        Provider(name, issuer.rstrip("/"), client_id, os.environ.get(f"OAUTH_{name.upper()}_SECRET"))
        for name, issuer, client_id in arguments.provider
    ]
    # 64 hexadecimal digits. Without it no token of a provider is stored.
    key = os.environ.get("OAUTH_TOKEN_KEY")
    keyring = Keyring({"1": bytes.fromhex(key)}, "1") if key else None
    app = App(arguments.database, Client(providers, base_url), keyring, secure=False)
    print(base_url, flush=True)
    # Without a log of requests: the callback's have codes in them.
    server = uvicorn.Server(uvicorn.Config(app.asgi(), ws="none", access_log=False, log_level="warning"))
    server.run(sockets=[listener])


main()
