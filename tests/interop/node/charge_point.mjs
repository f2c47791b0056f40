// A charge point on npm ocpp-rpc in strict mode. Its settings are the one argument, as JSON; tells what happens in lines.
import { readFileSync } from "node:fs";
import ocpp from "ocpp-rpc";

const tell = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const { endpoint, identity, password, protocols, ca, certificate } = JSON.parse(process.argv[2]);
const read = (path) => (path ? readFileSync(path) : undefined);

const client = new ocpp.RPCClient({
  endpoint,
  identity,
  password,
  protocols,
  strictMode: protocols.filter((name) => ["ocpp1.6", "ocpp2.0.1"].includes(name)), // what it has schemas for
  reconnect: false,
  wsOpts: { ca: read(ca), cert: read(certificate), key: read(certificate) },
});
const closed = new Promise((resolve) => client.on("close", resolve));
client.handle("GetConfiguration", ({ params }) => {
  tell({ asked: params });
  return { configurationKey: [{ key: "A", readonly: true, value: "é 1.50" }] };
});
client.handle("GetVariables", ({ params }) => {
  tell({ asked: params });
  const { component, variable } = params.getVariableData[0];
  return { getVariableResult: [{ attributeStatus: "Accepted", attributeValue: "é 1.50", component, variable }] };
});

try {
  await client.connect();
} catch (error) {
  tell({ refused: error.code ?? error.message });
  process.exit(0);
}
tell({ protocol: client.protocol });
const boot =
  client.protocol === "ocpp1.6"
    ? { chargePointVendor: "V", chargePointModel: "M" }
    : { reason: "PowerUp", chargingStation: { vendorName: "V", model: "M" } };
tell({ boot: (await client.call("BootNotification", boot)).status });
tell({ heartbeat: (await client.call("Heartbeat", {})).currentTime });
const data = "é🔌 ".repeat(2000); // long enough for ws to compress it, where that was agreed
tell({ same: (await client.call("DataTransfer", { vendorId: "v", data })).data === data });
const { code, reason } = await closed;
tell({ closed: code, reason: String(reason) });
