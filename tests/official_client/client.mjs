// Requests through the official client, one after the other: a JSON object on stdin, one JSON object on stdout.
//
// in:  {"requests": [{"command", "connectionString", "hub", ...what the command needs}, ...]}
//        get, delete                      "installationId"
//        put                              "installation"
//        patch                            "installationId", "patches"
//        createRegistrationId
//        createRegistration, createOrUpdateRegistration, updateRegistration     "registration"
//        getRegistration                  "registrationId"
//        deleteRegistration               "registrationId", "etag" (optional)
//        listRegistrations                "top" (optional)
//        listRegistrationsByTag           "tag", "top" (optional)
//        listRegistrationsByChannel       "channel", "top" (optional)
// out: {"answers": [{"ok": true, ...what the client returned} or {"ok": false, "statusCode", "message"}, ...]}
//
// A list is {"registrations": [...], "pages": [how many each page held, ...]}.
// The connection string comes by stdin, not in the arguments, which every user of the machine can read.

import { NotificationHubsClient } from "@azure/notification-hubs";

// http is refused otherwise; the emulator speaks it on loopback.
const options = { requestOptions: { allowInsecureConnection: true } };

async function perform(request) {
  const client = new NotificationHubsClient(request.connectionString, request.hub, {
    retryOptions: { maxRetries: 0 },
  });
  const listOptions = { ...options, top: request.top };
  switch (request.command) {
    case "get":
      return { installation: await client.getInstallation(request.installationId, options) };
    case "put":
      return await client.createOrUpdateInstallation(request.installation, options);
    case "patch":
      return await client.updateInstallation(request.installationId, request.patches, options);
    case "delete":
      return await client.deleteInstallation(request.installationId, options);
    case "createRegistrationId":
      return { registrationId: await client.createRegistrationId(options) };
    case "createRegistration":
    case "createOrUpdateRegistration":
    case "updateRegistration":
      return { registration: await client[request.command](request.registration, options) };
    case "getRegistration":
      return { registration: await client.getRegistration(request.registrationId, options) };
    case "deleteRegistration":
      return await client.deleteRegistration(request.registrationId, { ...options, etag: request.etag });
    case "listRegistrations":
      return await everyPage(client.listRegistrations(listOptions));
    case "listRegistrationsByTag":
      return await everyPage(client.listRegistrationsByTag(request.tag, listOptions));
    case "listRegistrationsByChannel":
      return await everyPage(client.listRegistrationsByChannel(request.channel, listOptions));
    default:
      throw new Error(`unknown command: ${request.command}`);
  }
}

async function everyPage(list) {
  const pages = [];
  for await (const page of list.byPage()) {
    pages.push(page);
  }
  return { registrations: pages.flat(), pages: pages.map((page) => page.length) };
}

async function answer(request) {
  try {
    return { ok: true, ...(await perform(request)) };
  } catch (error) {
    return { ok: false, statusCode: error.statusCode ?? null, message: error.message };
  }
}

const chunks = [];
for await (const chunk of process.stdin) {
  chunks.push(chunk);
}
const answers = [];
for (const request of JSON.parse(Buffer.concat(chunks).toString("utf8")).requests) {
  answers.push(await answer(request));
}
process.stdout.write(JSON.stringify({ answers }) + "\n");
