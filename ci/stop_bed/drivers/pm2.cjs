const answer = require("./lines.cjs");
const pm2 = require(`${process.env.PARTS}/npm/node_modules/pm2`);
const { promisify } = require("node:util");
const call = (method) => promisify(pm2[method].bind(pm2));
const connected = call("connect")();
answer({
  start: async ({ options }) => {
    await connected;
    await call("start")(options);
    return { ok: true, said: "started" };
  },
  stop: async ({ name }) => {
    await connected;
    const [stopped] = [await call("stop")(name)].flat();
    const state = stopped?.pm2_env?.status ?? stopped?.status;
    // `errored` is what it says of one that it had to kill, also where nothing lives: neither for it nor against it.
    return { ok: state === "stopped" ? true : state === "errored" ? null : false, said: `${state}` };
  },
});
