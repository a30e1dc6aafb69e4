#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A gateway made with slixmpp that knows no receipts (an external component, XEP-0114), for specs: it prints what it would pass on.

  slixmpp-gateway.py PORT DOMAIN

The secret is "secret". It prints "ready" and "got FROM TEXT". The end of the input closes its connection.
"""
import asyncio
import logging
import sys

logging.basicConfig(level=logging.ERROR)

from slixmpp.componentxmpp import ComponentXMPP


def show(*words):
    print(*words, flush=True)


async def main(port, domain):
    gateway = ComponentXMPP(domain, "secret", "127.0.0.1", int(port))
    gateway.add_event_handler("message", lambda message: show("got", message["from"].bare, message["body"]))
    gateway.connect()
    await gateway.wait_until("session_start", 30)
    show("ready")
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await gateway.disconnect()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
