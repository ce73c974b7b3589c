// Methods of the official client, called one after the other: a JSON object on stdin, one on stdout.
//
// in:  {"connectionString", "hub", "calls": [{"method", "arguments": [...]}, ...]}  or  {"walk": true}
//        an argument {"$make": factory, "notification"} is made by that factory; {"$time": text} is a Date
// out: {"answers": [{"ok": true, "value"} or {"ok": false, "statusCode", "message"}, ...]}
//      {"methods": [...], "factories": [...]}

import * as library from "@azure/notification-hubs";

function filledIn(argument) {
  if (argument?.$make) return library[argument.$make](argument.notification);
  if (argument?.$time) return new Date(argument.$time);
  return argument;
}

async function perform(client, { method, arguments: given }) {
  try {
    const value = await client[method](...given.map(filledIn));
    return { ok: true, value: value?.poll ? "a poller" : value };
  } catch (error) {
    return { ok: false, statusCode: error.statusCode ?? null, message: error.message };
  }
}

function walked() {
  const own = Object.getOwnPropertyNames(library.NotificationHubsClient.prototype);
  const factories = Object.keys(library).filter((name) => /^create\w+Notification$/.test(name));
  return { methods: own.filter((name) => name !== "constructor"), factories };
}

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const asked = JSON.parse(Buffer.concat(chunks).toString("utf8"));
let found;
if (asked.walk) {
  found = walked();
} else {
  const options = { retryOptions: { maxRetries: 0 } };
  const client = new library.NotificationHubsClient(asked.connectionString, asked.hub, options);
  found = { answers: [] };
  for (const call of asked.calls) found.answers.push(await perform(client, call));
}
process.stdout.write(JSON.stringify(found) + "\n");
