// Opens the approval page in Chromium and does what a person does there. Arguments: a JSON text; prints one, with what was seen.
//   { playwright, chromium, page, token, steps: [{ fill: [selector, text] } | { click: selector } | { check: selector }], picture, scheme }
import { createRequire } from 'node:module';

const { playwright, chromium, page: address, token, steps, picture, scheme, foreign } = JSON.parse(process.argv[2]);
const { chromium: launcher } = createRequire(import.meta.url)(playwright);
const browser = await launcher.launch({
  executablePath: chromium,
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
  ],
});
try {
  const context = await browser.newContext({ colorScheme: scheme ?? 'light', viewport: { width: 900, height: 1100 } });
  const page = await context.newPage();
  const dialogs = [];
  page.on('dialog', (dialog) => { dialogs.push(dialog.message()); dialog.dismiss(); });
  const statuses = [];
  page.on('response', (response) => { statuses.push(response.status()); });
  if (foreign) {
    // Another page of the same browser sends the form.
    await page.goto(foreign);
    await page.setContent(`<form method="post" action="${address}"><input name="token" value="${token}"><input name="do" value="approve"></form>`);
    await Promise.all([page.waitForNavigation(), page.evaluate('document.forms[0].submit()')]);
  } else {
    await page.goto(address);
    await page.fill('#token', token);
    await page.click('button[value=show]');
    for (const step of steps) {
      if (step.fill) await page.fill(...step.fill);
      if (step.check) await page.check(step.check);
      if (step.click) await page.click(step.click);
    }
  }
  if (picture) await page.screenshot({ path: picture, fullPage: true });
  console.log(JSON.stringify({
    text: await page.innerText('body'), status: statuses.at(-1), dialogs,
    bold: await page.locator('pre *').count(),
    until: await page.locator('time').last().getAttribute('title', { timeout: 1000 }).catch(() => null),
  }));
} finally {
  await browser.close();
}
