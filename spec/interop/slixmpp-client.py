#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A chat program made with slixmpp, for specs: it writes what lines on standard input say, and prints what a person would see.

  slixmpp-client.py PORT JID [receipts] [managed] [carbons]

A line "TO TEXT" sends TEXT with a request for a receipt, when there is the word receipts. It prints "ready", "said ID TEXT",
"got FROM TEXT", "receipt ID" and "bounced ID". The end of the input logs out.
"""
import asyncio
import logging
import sys

logging.basicConfig(level=logging.ERROR)

import slixmpp


def show(*words):
    print(*words, flush=True)


async def main(port, jid, *words):
    client = slixmpp.ClientXMPP(jid, "secret", plugin_config={"feature_mechanisms": {"unencrypted_plain": True}})
    client.register_plugin("xep_0115")
    if "receipts" in words:
        client.register_plugin("xep_0184")
        client.add_event_handler("receipt_received", lambda message: show("receipt", message["receipt"]))
    if "managed" in words:
        client.register_plugin("xep_0198")
    client.add_event_handler("message", lambda message: show("got", message["from"].bare, message["body"]) if message["body"] else None)
    client.add_event_handler("message_error", lambda message: show("bounced", message["id"]))
    if "carbons" in words:
        client.register_plugin("xep_0280")

        def copied(message):
            inner = message["carbon_received"]
            receipt = inner.xml.find("{urn:xmpp:receipts}received")
            if receipt is not None:
                show("receipt", receipt.get("id"))

        client.add_event_handler("carbon_received", copied)
    client.connect(("127.0.0.1", int(port)), force_starttls=False, disable_starttls=True)
    await client.wait_until("session_start", 30)
    if "carbons" in words:
        await client["xep_0280"].enable()
    client.send_presence()
    await client.get_roster()
    show("ready")
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        to, text = line.decode().rstrip("\n").split(" ", 1)
        message = client.make_message(mto=to, mbody=text, mtype="chat")
        message["id"] = client.new_id()
        if "receipts" in words:
            message["request_receipt"] = True
        message.send()
        show("said", message["id"], text)
    await client.disconnect()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
