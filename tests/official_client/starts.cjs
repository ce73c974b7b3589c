// The job of a start through the official client, for tests/benchmarks, whose scripts say what each job is:
// node starts.cjs JOB STYLE CONNECTION TRUSTED FOLDER HANDLE
//
// As CommonJS, with the functions of "/api" instead of the client's class: of the ways to use it, the one that
// starts fastest.

const { randomUUID } = require("node:crypto");
const { readFileSync, writeFileSync } = require("node:fs");
const {
  createClientContext,
  createOrUpdateInstallation,
  createOrUpdateRegistration,
  createRegistrationId,
  listRegistrationsByChannel,
  updateInstallation,
} = require("@azure/notification-hubs/api");

const [job, style, connection, , folder, handle] = process.argv.slice(2);
const path = `${folder}/device.json`;
// http is refused otherwise; the emulator speaks it on loopback.
const options = { requestOptions: { allowInsecureConnection: true } };
const client = createClientContext(connection, "h", { retryOptions: { maxRetries: 0 } });

async function checkThatNobodyHasTheChannel() {
  const channel = { kind: "gcm", gcmRegistrationId: handle };
  for await (const page of listRegistrationsByChannel(client, channel, options).byPage()) {
    if (page.length > 0) {
      throw new Error("the hub holds the channel already");
    }
  }
}

async function put(id) {
  if (style === "installation") {
    const installation = { installationId: id, platform: "gcm", pushChannel: handle };
    await createOrUpdateInstallation(client, installation, options);
  } else {
    const registration = { kind: "Gcm", registrationId: id, gcmRegistrationId: handle };
    await createOrUpdateRegistration(client, registration, options);
  }
}

async function main() {
  let id;
  if (job === "first") {
    await checkThatNobodyHasTheChannel();
    id = style === "installation" ? randomUUID() : await createRegistrationId(client, options);
    await put(id);
  } else {
    const kept = JSON.parse(readFileSync(path, "utf8"));
    id = kept.id;
    if (job === "rotated" && style === "installation") {
      const patches = [{ op: "replace", path: "/pushChannel", value: handle }];
      await updateInstallation(client, id, patches, options);
    } else {
      await put(id);
    }
  }
  writeFileSync(path, JSON.stringify({ id, handle }));
}

main();
