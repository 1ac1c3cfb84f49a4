// A leader that answers HTTP at PORT.
if (process.env.IGNORING) for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => {});
require("node:http").createServer((_, answer) => answer.end("here\n")).listen(Number(process.env.PORT), "127.0.0.1");
setTimeout(() => process.exit(0), 600_000);
