// A CSMS on npm ocpp-rpc in strict mode (its own schemas). Tells what happens as one JSON object a line.
import ocpp from "ocpp-rpc";

const tell = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const now = "2026-01-01T00:00:00.000Z";
const server = new ocpp.RPCServer({
  protocols: ["ocpp2.0.1", "ocpp1.6"],
  strictMode: true,
  wssOptions: { perMessageDeflate: true },
});

server.auth((accept, reject, handshake) => {
  tell({ upgrade: handshake.identity, protocols: [...handshake.protocols], headers: Object.keys(handshake.headers) });
  accept();
});

server.on("client", (client) => {
  client.handle("BootNotification", ({ params }) => {
    tell({ boot: client.identity, params });
    return { status: "Accepted", currentTime: now, interval: 300 };
  });
  client.handle("Heartbeat", async () => ({ currentTime: now }));
  client.handle("DataTransfer", async ({ params }) => {
    tell({ data: params.data });
    const question = client.protocol === "ocpp1.6" ? "GetConfiguration" : "GetVariables";
    const variable = { component: { name: "C" }, variable: { name: "V" } };
    const asked = client.protocol === "ocpp1.6" ? { key: ["A"] } : { getVariableData: [variable] };
    setImmediate(async () => {
      try {
        tell({ answer: await client.call(question, asked) });
      } catch (error) {
        tell({ failed: error.message });
      }
      await client.close({ code: 4321, reason: "that was all" });
    });
    return { status: "Accepted", data: params.data };
  });
  client.on("strictValidationFailure", ({ error }) => tell({ invalid: error.message }));
  client.on("close", ({ code, reason }) => tell({ closed: code, reason: String(reason) }));
});

const http = await server.listen(0, "127.0.0.1");
tell({ listening: http.address().port });
process.stdin.on("end", () => process.exit(0)).resume();
