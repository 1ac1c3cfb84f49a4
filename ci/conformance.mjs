// The parts of ci/conformance that shell is bad at. Run by it, not by hand:
//   reach URL                       does anything answer there?
//   forward URL HEADER...           a loopback forwarder that adds headers; prints the URL to use instead
//   report DIR SAVE AGAINST MARKDOWN REVISION...
//                                   reads the suite's files, prints the outcome, sets the exit code
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';

// The suite requires no extension. Of us these are required.
const extensions = /^tasks-/;

const [command, ...rest] = process.argv.slice(2);
({ reach, forward, report })[command](...rest);

function reach(url) {
  const request = http.request(url, { method: 'OPTIONS', timeout: 5000 }, () => process.exit(0));
  request.on('timeout', () => request.destroy());
  request.on('error', () => process.exit(1));
  request.end();
}

// The suite can send no credentials of its own. Only our own address is replaced by the target's: the scenario on
// DNS rebinding sends a foreign Host and Origin, which must reach the target as they are.
function forward(url, ...lines) {
  const target = new URL(url);
  const added = lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
  });
  const server = http.createServer((request, response) => {
    const own = `${target.hostname}:${server.address().port}`;
    const headers = { ...request.headers, ...Object.fromEntries(added) };
    if (headers.host === own) headers.host = target.host;
    if (headers.origin === `http://${own}`) headers.origin = target.origin;
    const options = { host: bare(target), port: target.port || 80, path: request.url, method: request.method, headers };
    const onward = http.request(options, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', (error) => (response.headersSent ? response.destroy() : response.writeHead(502).end(`${error}`)));
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  server.listen(0, bare(target), () => {
    const address = new URL(url);
    address.port = server.address().port;
    console.log(address.href);
  });
}

function bare(url) {
  return url.hostname.replace(/^\[|\]$/g, '');
}

function report(dir, save, against, markdown, ...revisions) {
  const passes = {};
  const rows = revisions.map((revision) => readRevision(dir, revision, passes));
  for (const { revision, scenarios, unscored } of rows) {
    const good = scenarios.filter((scenario) => scenario.failed.length === 0);
    const checks = scenarios.reduce((sum, scenario) => sum + scenario.passed, 0);
    console.log(`${revision}: ${good.length} of ${scenarios.length} scenarios, ${checks} checks passed`);
    const others = unscored.filter((scenario) => scenario.failed.length > 0).map((scenario) => scenario.name);
    if (others.length) console.log(`  not required, and failed: ${others.join(', ')}`);
    for (const { name, failed } of scenarios) for (const why of failed) console.log(`  FAILED ${name}: ${why}`);
  }
  if (save) writeFileSync(save, `${JSON.stringify(passes, null, 2)}\n`);
  if (markdown) writeFileSync(markdown, table(rows));

  const lost = against ? losses(JSON.parse(readFileSync(against, 'utf8')), passes) : [];
  for (const line of lost) console.log(`  LOST ${line}`);
  const all = rows.flatMap((row) => row.scenarios);
  const failed = all.filter((scenario) => scenario.failed.length > 0).length;
  console.log(`${all.length - failed} passed, ${failed} failed`);
  process.exitCode = failed || lost.length ? 1 : 0;
}

// Which scenarios count is in the suite's log alone; their checks are in one folder each.
function readRevision(dir, revision, passes) {
  const log = readFileSync(join(dir, `${revision}.log`), 'utf8');
  const [, appendix = ''] = log.split(/^Not scored for/m);
  const unscored = [...appendix.matchAll(/^\s+[✓✗] (\S+) \(/gm)].map((match) => match[1]);
  const optional = new Set(unscored.filter((name) => !extensions.test(name)));
  const folders = new Map();
  for (const folder of readdirSync(join(dir, revision))) {
    const match = /^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$/.exec(folder);
    if (match) folders.set(match[1], join(dir, revision, folder, 'checks.json'));
  }
  for (const [, name] of log.matchAll(/^=== Running scenario: (\S+) ===$/gm)) {
    if (!folders.has(name)) folders.set(name, undefined);
  }
  if (folders.size === 0) {
    console.error(`conformance: the suite ran nothing for ${revision}:\n${log.slice(-2000)}`);
    process.exit(2);
  }
  const scenarios = [...folders].map(([name, file]) => readScenario(revision, name, file, passes));
  return {
    revision,
    scenarios: scenarios.filter(({ name }) => !optional.has(name)),
    unscored: scenarios.filter(({ name }) => optional.has(name)),
  };
}

function readScenario(revision, name, file, passes) {
  let checks;
  try {
    checks = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return { name, passed: 0, failed: ['it left no result'] };
  }
  for (const { id, status } of checks) {
    const key = `${revision}/${name}/${id}`;
    passes[key] = (passes[key] ?? 0) + (status === 'SUCCESS' ? 1 : 0);
  }
  const failed = checks.filter(({ status }) => status === 'FAILURE');
  return {
    name,
    passed: checks.filter(({ status }) => status === 'SUCCESS').length,
    failed: failed.map(({ id, errorMessage = '' }) => `${id} ${errorMessage.replace(/\s+/g, ' ').slice(0, 200)}`),
  };
}

function losses(before, now) {
  return Object.entries(before)
    .filter(([key, count]) => (now[key] ?? 0) < count)
    .map(([key, count]) => `${key}: passed ${now[key] ?? 0} of ${count} times`);
}

function table(rows) {
  const lines = ['| revision | scenarios passed | required | checks passed |', '| --- | ---: | ---: | ---: |'];
  for (const { revision, scenarios } of rows) {
    const good = scenarios.filter((scenario) => scenario.failed.length === 0).length;
    const checks = scenarios.reduce((sum, scenario) => sum + scenario.passed, 0);
    lines.push(`| ${revision} | ${good} | ${scenarios.length} | ${checks} |`);
  }
  const failed = rows.flatMap(({ revision, scenarios }) =>
    scenarios.filter((scenario) => scenario.failed.length > 0).map(({ name }) => `- ${revision} ${name}`),
  );
  if (failed.length) lines.push('', 'Failed:', '', ...failed);
  return `${lines.join('\n')}\n`;
}
