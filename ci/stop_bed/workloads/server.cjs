// A server as one has it while developing: it forks a worker, and answers HTTP where it is given a port.
const folder = process.argv[2];
require("./mark.cjs")(folder);
require("node:child_process").fork(`${__dirname}/worker.cjs`, [folder]);
if (process.env.PORT !== "0") require("./lead.cjs");
setTimeout(() => process.exit(0), 600_000);
