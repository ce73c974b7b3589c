// Calls of azure-sb's methods, one after the other: a JSON object on stdin, one on stdout.
//
// in:  {"connectionString", "hub", "calls": [{"service", "method", "arguments", "sync"}, ...]}
//        service: "wns", "apns", "gcm" or "mpns"; absent: the notification hub service itself
//        an argument {"$answer": n} is the value of the n-th answer, {"$answer": n, "$member": "name"} a member of it
//        sync: the method returns its value, and takes no callback
// out: {"answers": [{"ok": true, "value"} or {"ok": false, "statusCode", "message"}, ...]}
//
// in:  {"connectionString", "hub", "walk": true}
// out: {"": [names of methods], "wns": [...], ...}

const { createNotificationHubService } = require("azure-sb");

const SERVICES = ["wns", "apns", "gcm", "mpns"];

function filledIn(argument, answers) {
  if (Array.isArray(argument)) {
    return argument.map((each) => filledIn(each, answers));
  }
  if (argument === null || typeof argument !== "object") {
    return argument;
  }
  if ("$answer" in argument) {
    const value = structuredClone(answers[argument.$answer].value);
    return "$member" in argument ? value[argument.$member] : value;
  }
  return Object.fromEntries(Object.entries(argument).map(([name, each]) => [name, filledIn(each, answers)]));
}

function perform(client, call, answers) {
  const target = call.service ? client[call.service] : client;
  const given = call.arguments.map((each) => filledIn(each, answers));
  if (call.sync) {
    const value = target[call.method](...given);
    return { ok: true, value: value?.getXmlPayload ? value.getXmlPayload() : value };
  }
  return new Promise((resolve) => {
    target[call.method](...given, (error, value) => {
      if (error) {
        resolve({ ok: false, statusCode: error.statusCode ?? null, message: error.message });
      } else {
        // What has a body and headers is the response itself: it holds the request's token.
        resolve({ ok: true, value: value?.headers ? { statusCode: value.statusCode } : value });
      }
    });
  });
}

function functionsOf(target) {
  const names = [];
  for (const name in target) {
    if (typeof target[name] === "function" && !name.startsWith("_")) {
      names.push(name);
    }
  }
  return names;
}

async function answer({ connectionString, hub, calls, walk }) {
  const client = createNotificationHubService(hub, connectionString);
  if (walk) {
    // What it inherits is the plumbing of every service of that library.
    const own = Object.keys(Object.getPrototypeOf(client)).filter(
      (name) => !name.startsWith("_") && typeof client[name] === "function",
    );
    const others = SERVICES.map((service) => [service, functionsOf(client[service])]);
    return { "": own, ...Object.fromEntries(others) };
  }
  const answers = [];
  for (const call of calls) {
    try {
      answers.push(await perform(client, call, answers));
    } catch (error) {
      answers.push({ ok: false, statusCode: null, message: error.message });
    }
  }
  return { answers };
}

const chunks = [];
process.stdin.on("data", (chunk) => chunks.push(chunk));
process.stdin.on("end", async () => {
  const found = await answer(JSON.parse(Buffer.concat(chunks).toString("utf8")));
  process.stdout.write(JSON.stringify(found) + "\n");
});
