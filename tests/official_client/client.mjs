// One request through the official client: a JSON object on stdin, one JSON object on stdout.
//
// in:  {"command": "get" | "put" | "patch" | "delete", "connectionString", "hub",
//       "installation" (put), "installationId" (get, patch, delete), "patches" (patch)}
// out: {"ok": true, ...what the client returned} or {"ok": false, "statusCode", "message"}
//
// The connection string comes by stdin, not in the arguments, which every user of the machine can read.

import { NotificationHubsClient } from "@azure/notification-hubs";

async function perform(request) {
  const client = new NotificationHubsClient(request.connectionString, request.hub, {
    retryOptions: { maxRetries: 0 },
  });
  // http is refused otherwise; the emulator speaks it on loopback.
  const options = { requestOptions: { allowInsecureConnection: true } };
  switch (request.command) {
    case "get":
      return { installation: await client.getInstallation(request.installationId, options) };
    case "put":
      return await client.createOrUpdateInstallation(request.installation, options);
    case "patch":
      return await client.updateInstallation(request.installationId, request.patches, options);
    case "delete":
      return await client.deleteInstallation(request.installationId, options);
    default:
      throw new Error(`unknown command: ${request.command}`);
  }
}

async function main() {
  const chunks = [];
  for await (const chunk of process.stdin) {
    chunks.push(chunk);
  }
  try {
    return { ok: true, ...(await perform(JSON.parse(Buffer.concat(chunks).toString("utf8")))) };
  } catch (error) {
    return { ok: false, statusCode: error.statusCode ?? null, message: error.message };
  }
}

process.stdout.write(JSON.stringify(await main()) + "\n");
