#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Lists and runs ad-hoc commands (XEP-0050) as a person with a client of another make (slixmpp) would, on a server on loopback.

  adhoc-client.py PORT JID list WHERE
  adhoc-client.py PORT JID run WHERE NODE [FIELD=VALUE ...]

Prints what the client would show. A form that is answered with nothing is shown, and cancelled; a FIELD that is given twice has two
values, and fields not given keep what the form says. The status is 1 when the command, or the server, reports an error.
"""
import asyncio
import logging
import sys

logging.basicConfig(level=logging.ERROR)

import slixmpp
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.plugins.xep_0004.stanza import Form

TIMEOUT = 20  # seconds for all of it


class Failed(Exception):
    pass


def shown(value, labels):
    """A field's value, or values, as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    values = value if isinstance(value, list) else [value or ""]
    return ", ".join(labels.get(one, one) for one in values)


def print_form(form):
    if form["title"]:
        print("#", form["title"])
    if form["instructions"]:
        print(form["instructions"])
    for name, field in form.get_fields().items():
        kind = field["type"]
        if kind == "hidden":
            continue
        options = {option["value"]: option["label"] or option["value"] for option in field.get_options()}
        line = shown(field.get_value(), options)
        if kind != "fixed":
            line = f"{field['label'] or name}: {line}"
        if form["type"] == "form" and kind != "fixed":
            line += f" [{name}: {'|'.join(options) or kind}{', required' if field['required'] else ''}]"
        print(line)
    columns = form.get_reported()
    if columns:
        print(" | ".join(column["label"] or name for name, column in columns.items()))
        for item in form.get_items():
            print(" | ".join(shown(item.get(name), {}) for name in columns))


def print_command(command):
    """The notes and the form of an answer; returns the form."""
    failed = None
    for kind, text in command["notes"]:
        print(f"{kind}: {text}")
        failed = text if kind == "error" else failed
    xml = command.xml.find("{jabber:x:data}x")
    form = Form(xml) if xml is not None else None
    if form:
        print_form(form)
    if failed:
        raise Failed
    return form


def filled(form, values):
    """The form's answer."""
    answer = Form()
    answer["type"] = "submit"
    for name, field in form.get_fields().items():
        if field["type"] == "fixed":
            continue
        value = values.get(name) or field.get_value(convert=False)
        many = field["type"].endswith("-multi")
        answer.add_field(var=name, ftype=field["type"], value=value if many or not isinstance(value, list) else value[0])
    return answer


async def list_commands(adhoc, where):
    answer = await adhoc.get_commands(where)
    for jid, node, name in sorted(answer["disco_items"]["items"], key=str):
        print(f"{node}: {name}" if str(jid) == where else f"{node}: {name} ({jid})")


async def run_command(adhoc, where, node, values):
    answer = await adhoc.send_command(where, node)
    form = print_command(answer["command"])
    while answer["command"]["status"] == "executing":
        session = answer["command"]["sessionid"]
        if not values:
            answer = await adhoc.send_command(where, node, action="cancel", sessionid=session)
            break
        asked = form.get_fields() if form else {}
        now = {name: values.pop(name) for name in list(values) if name in asked}
        if not now:
            raise Failed("The form has no field " + ", ".join(values))
        action = "next" if "next" in answer["command"]["actions"] else "complete"
        answer = await adhoc.send_command(where, node, action=action, sessionid=session, payload=filled(form, now))
        form = print_command(answer["command"])
    print(answer["command"]["status"])


async def main(port, jid, action, where, *rest):
    client = slixmpp.ClientXMPP(jid, "secret", plugin_config={"feature_mechanisms": {"unencrypted_plain": True}})
    client.register_plugin("xep_0050")
    client.connect(("127.0.0.1", int(port)), force_starttls=False, disable_starttls=True)
    await client.wait_until("session_start", TIMEOUT)
    adhoc = client["xep_0050"]
    try:
        if action == "list":
            await list_commands(adhoc, where)
        elif action == "run":
            values = {}
            for field in rest[1:]:
                name, value = field.split("=", 1)
                values.setdefault(name, []).append(value)
            await run_command(adhoc, where, rest[0], values)
        else:
            raise Failed(__doc__)
    finally:
        await client.disconnect()


if __name__ == "__main__":
    try:
        asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), TIMEOUT))
    except IqError as error:
        sys.exit(f"error: {error.condition} {error.text}".strip())
    except (IqTimeout, asyncio.TimeoutError):
        sys.exit("error: no answer")
    except Failed as error:
        sys.exit(str(error) or 1)
