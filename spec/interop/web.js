// SPDX-License-Identifier: MIT
// What web_spec.lua has web clients do: it listens on loopback, and answers each line, a JSON array of a command and its arguments, by
// one line of JSON.
//   NODE_PATH=.deps/web/node_modules node spec/interop/web.js PORT
"use strict";
const fs = require("fs");
const http = require("http");
const net = require("net");
const path = require("path");
const modules = process.env.NODE_PATH;
const RECEIPTS = "urn:xmpp:receipts";
const PATIENCE = 60000; // milliseconds

const commands = {};

// The name and version of each program, as its package says.
commands.versions = () => Object.fromEntries(["stanza", "converse.js"].map((name) =>
	[name, JSON.parse(fs.readFileSync(path.join(modules, name, "package.json"))).version]));

// stanza: a library, here with what an app on it would do.

const agents = {};

// how: sendReceipts is stanza's own option; advertise = false takes receipts out of what it says that it can do.
commands.login = async (name, url, user, how) => {
	const { createClient } = require("stanza");
	const agent = createClient({ jid: `${user}@localhost`, resource: name, server: "localhost", credentials: { password: "secret" },
		transports: { websocket: url, bosh: false }, autoReconnect: false, sendReceipts: how.sendReceipts });
	const heard = { receipts: [], messages: [] };
	agent.on("receipt", (message) => heard.receipts.push(message.receipt.id));
	agent.on("message", (message) => { if (message.body && !message.carbon) heard.messages.push(message.id); });
	agents[name] = { agent, heard };
	await new Promise((resolve, reject) => {
		agent.on("session:started", resolve);
		agent.on("disconnected", () => reject(new Error(`${name} was disconnected`)));
		agent.connect();
	});
	if (how.advertise === false) agent.disco.features.get("").delete(RECEIPTS);
	await agent.enableCarbons();
	agent.updateCaps();
	agent.sendPresence({ legacyCapabilities: agent.disco.getCaps() });
	await agent.ping("localhost");
};

commands.send = (name, message) => agents[name].agent.sendMessage(message);

// What it was told until the server had handled all that it sent.
commands.heard = async (name) => {
	await agents[name].agent.ping("localhost");
	return agents[name].heard;
};

commands.logout = (name) => new Promise((resolve) => {
	agents[name].agent.on("disconnected", resolve);
	agents[name].agent.disconnect();
	delete agents[name];
});

// Converse: a page that people have open in a browser.

const page_of = (url, user) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>Converse</title>
<link rel="stylesheet" href="/converse.min.css"><body class="converse-fullscreen"><script type="module">
import "/converse.min.js";
converse.plugins.add("spec", { initialize() { window.api = this._converse.api; } });
converse.initialize({ authentication: "login", auto_login: true, jid: "${user}@localhost", password: "secret", websocket_url: "${url}",
	discover_connection_methods: false, view_mode: "fullscreen", whitelisted_plugins: ["spec"], i18n: "en", assets_path: "/" });
</script></body></html>`;
const KINDS = { ".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".wasm": "application/wasm", ".svg": "image/svg+xml" };

let browser, page;
const acked = [];

commands.browse = async (url, user) => {
	const dist = path.join(modules, "converse.js", "dist");
	const site = http.createServer((request, response) => {
		const name = new URL(request.url, "http://localhost").pathname;
		const type = KINDS[path.extname(name)] || "text/html";
		if (name === "/") return response.writeHead(200, { "content-type": type }).end(page_of(url, user));
		fs.readFile(path.join(dist, path.normalize(name)), (error, data) =>
			response.writeHead(error ? 404 : 200, { "content-type": type }).end(data));
	});
	await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
	browser = await require("playwright-core").chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
	page = await browser.newPage({ viewport: { width: 900, height: 420 }, deviceScaleFactor: 1 });
	page.setDefaultTimeout(PATIENCE);
	page.on("pageerror", (error) => console.log("page:", error.message));
	await page.route((address) => address.hostname !== "127.0.0.1", (route) => { // nothing but this machine
		console.log("not loaded:", route.request().url());
		return route.abort();
	});
	page.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => {
		for (const [element] of String(payload).matchAll(/<received\b[^>]*>/g)) {
			if (element.includes(RECEIPTS)) acked.push(/\bid=["']([^"']*)/.exec(element)[1]);
		}
	}));
	await page.goto(`http://127.0.0.1:${site.address().port}/`);
	await page.waitForFunction(() => window.api && window.api.connection.connected());
	await page.evaluate(() => window.api.waitUntil("rosterContactsFetched"));
};

// Writes in the chat with somebody, as a person does.
commands.write = async (to, text) => {
	await page.evaluate((jid) => window.api.chats.open(jid, {}, true), to);
	const box = page.locator(`converse-chat[jid="${to}"] textarea.chat-textarea`);
	await box.fill(text);
	await box.press("Enter");
	await page.locator(".chat-msg", { hasText: text }).waitFor();
};

const MARK = ".chat-msg__receipt";

// Waits for the mark at a message.
commands.marked = (text) => page.locator(".chat-msg", { hasText: text }).locator(MARK).waitFor();

// The messages with a mark, and the ids of the acks that have come in, once all that the server has sent is here and drawn.
commands.chat = async () => {
	await page.evaluate(async () => {
		await window.api.ping("localhost");
		await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
	});
	const marks = await page.locator(".chat-msg", { has: page.locator(MARK) }).locator(".chat-msg__text").allInnerTexts();
	return { marks: marks.map((text) => text.trim()), acked };
};

// Of the chat, without the list of contacts beside it and what is below the messages.
commands.picture = async (file) => {
	await page.screenshot({ path: file, clip: { x: 300, y: 0, width: 600, height: 204 } });
};

const answer = async (line) => {
	const [name, ...rest] = JSON.parse(line);
	try {
		return { result: (await commands[name](...rest)) ?? true };
	} catch (error) {
		return { error: String(error && error.stack || error) };
	}
};

net.createServer((socket) => {
	let unread = "";
	socket.on("error", () => {}); // who asked has gone
	socket.on("data", async (data) => {
		unread += data;
		const lines = unread.split("\n");
		unread = lines.pop();
		for (const line of lines) socket.write(JSON.stringify(await answer(line)) + "\n");
	});
}).listen(Number(process.argv[2]), "127.0.0.1");
