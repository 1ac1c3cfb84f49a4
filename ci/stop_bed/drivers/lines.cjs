// A line of JSON for each question, and one for each answer.
module.exports = (handlers) => {
  console.log = console.error; // what a manager prints is no answer
  const lines = require("node:readline").createInterface({ input: process.stdin });
  lines.on("line", async (line) => {
    const { n, what, ...question } = JSON.parse(line);
    let answer;
    try {
      answer = await handlers[what](question);
    } catch (error) {
      answer = { ok: false, said: String(error?.message ?? error) };
    }
    process.stdout.write(`${JSON.stringify({ n, ...answer })}\n`);
  });
};
