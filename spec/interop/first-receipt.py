#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Two people with slixmpp who are each other's contacts: one asks for a receipt, and it comes.

  first-receipt.py ID CERTIFICATE

They are romeo@localhost and juliet@localhost, on 127.0.0.1's port 5222 with TLS, password "secret". CERTIFICATE is the file of the
server's, which they trust. Prints what romeo's client shows.
"""
import asyncio
import logging
import sys

logging.basicConfig(level=logging.ERROR)

import slixmpp

TIMEOUT = 30  # seconds for all of it


async def log_in(jid, certificate, on_presence):
    client = slixmpp.ClientXMPP(jid, "secret")
    client.ca_certs = certificate
    client.register_plugin("xep_0184")
    client.add_event_handler("presence_available", on_presence)
    client.connect(("127.0.0.1", 5222))
    await client.wait_until("session_start", TIMEOUT)
    await client.get_roster()
    client.send_presence()
    return client


async def main(ident, certificate):
    sees_juliet = asyncio.Event()

    def on_presence(presence):
        if presence["from"].bare == "juliet@localhost":
            sees_juliet.set()

    romeo = await log_in("romeo@localhost/orchard", certificate, on_presence)
    juliet = await log_in("juliet@localhost/balcony", certificate, lambda presence: None)
    romeo.send_presence_subscription("juliet@localhost")  # slixmpp agrees by itself, and asks in return
    await sees_juliet.wait()
    message = romeo.make_message("juliet@localhost", "Art thou there?", mtype="chat")
    message["id"] = ident
    message["request_receipt"] = True
    shown = romeo.wait_until("receipt_received", TIMEOUT)
    message.send()
    receipt = await shown
    print("receipt for", receipt["receipt"], "from", receipt["from"])
    await romeo.disconnect()
    await juliet.disconnect()


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), TIMEOUT))
