// This process is the manager: it uses the class that the orchestrator's MCP server uses, and ends as that server does.
const { PARTS, FOLDER } = process.env;
const answer = require("./lines.cjs");
const made = (async () => {
  const { ProjectServerManager } = await import(
    `${PARTS}/npm/node_modules/node-server-orchestrator/dist/ProjectServerManager.js`
  );
  const manager = new ProjectServerManager();
  await manager.loadConfigFromFile(`${FOLDER}/config.json`);
  return manager;
})();
const said = ({ success, message }) => ({ ok: success, said: message });
answer({
  start: async ({ name }) => said(await (await made).startServer(name)),
  stop: async ({ name }) => said(await (await made).stopServer(name)),
});
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, async () => {
    await (await made).stopAllServers();
    process.exit(0);
  });
}
