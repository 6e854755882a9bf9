// Reads the repositories below WORK with tuf-js over HTTP: `whole` must give the right bytes, all others nothing.

import { createReadStream, mkdtempSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join, normalize } from "node:path";
import { Updater } from "tuf-js";

const EXPECTED = {
  "release-0.1.1.json": '{"version":"0.1.1"}',
  "package-0.1.1": "the package of release 0.1.1\n",
  "matrix.json": "[]\n",
};

const work = process.argv[2];

async function read(url, root) {
  const folder = mkdtempSync(join(tmpdir(), "tuf-"));
  try {
    const [metadataDir, targetDir] = [join(folder, "store"), join(folder, "downloads")];
    mkdirSync(metadataDir);
    mkdirSync(targetDir);
    writeFileSync(join(metadataDir, "root.json"), root);
    const updater = new Updater({
      metadataDir,
      targetDir,
      metadataBaseUrl: `${url}/metadata`,
      targetBaseUrl: `${url}/targets`,
      config: { fetchRetries: 0 },
    });
    await updater.refresh();
    const found = {};
    for (const name of Object.keys(EXPECTED)) {
      const info = await updater.getTargetInfo(name);
      if (!info) throw new Error(`no target ${name}`);
      found[name] = readFileSync(await updater.downloadTarget(info), "utf8");
    }
    return found;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const server = createServer((request, response) => {
  const stream = createReadStream(join(work, normalize(decodeURIComponent(request.url))));
  stream.on("error", () => response.writeHead(404).end());
  stream.pipe(response);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const base = `http://127.0.0.1:${server.address().port}`;
const root = readFileSync(join(work, "whole/metadata/1.root.json"));
let failures = 0;
for (const name of readdirSync(work).sort()) {
  let good;
  let what;
  try {
    const found = await read(`${base}/${name}`, root);
    good = name === "whole" && JSON.stringify(found) === JSON.stringify(EXPECTED);
    what = name === "whole" ? "read" : "read although tampered with";
  } catch (error) {
    good = name !== "whole";
    what = `refused: ${error.name}: ${error.message}`;
  }
  failures += good ? 0 : 1;
  console.log(`    ${good ? "ok  " : "FAIL"} ${name}: ${what}`);
}
server.close();
server.closeAllConnections();
process.exit(failures ? 1 : 0);
