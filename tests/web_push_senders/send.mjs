// Sends one message by npm web-push. Reads {subscription, text, encoding, publicKey, privateKey} on stdin.
import { readFileSync } from "node:fs";
import webPush from "web-push";

const given = JSON.parse(readFileSync(0, "utf8"));
const details = webPush.generateRequestDetails(given.subscription, given.text, {
  TTL: 60,
  contentEncoding: given.encoding,
  vapidDetails: { subject: "mailto:a@b.example", publicKey: given.publicKey, privateKey: given.privateKey },
});
// The library itself speaks https only; what it made is posted as it is.
const reply = await fetch(details.endpoint, { method: details.method, headers: details.headers, body: details.body });
console.log(JSON.stringify({ status: reply.status, text: await reply.text() }));
