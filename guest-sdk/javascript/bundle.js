/** From a plugin's module to a component: one bundle, and the part of the contract that it uses. */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

import { componentize as makeComponent } from "componentize-qjs";
import { build } from "esbuild";

const LIBRARY = dirname(fileURLToPath(import.meta.url));

/** The interfaces of the contract are imported by name, and those that nothing uses are left out. */
const contract = (entry) => ({
  name: "contract",
  setup({ onResolve }) {
    onResolve({ filter: /^(wasi|endpointd):/ }, ({ path }) => ({ path, external: true, sideEffects: false }));
    // Whatever its package.json says of side effects: an endpoint is one.
    onResolve({ filter: /^plugin$/ }, () => ({ path: entry }));
  },
});

/** The source of a module and all that it imports, and which interfaces that needs. */
export async function bundle(entry) {
  const path = resolve(entry);
  const { outputFiles, metafile } = await build({
    stdin: {
      contents: 'import "plugin";\nexport * from "endpointd-guest/component";',
      resolveDir: dirname(path),
      sourcefile: "component",
    },
    bundle: true,
    write: false,
    metafile: true,
    sourcemap: "external",
    outfile: join(dirname(path), "bundle.js"),
    absWorkingDir: process.cwd(),
    format: "esm",
    platform: "browser",
    conditions: ["endpointd", "module"],
    mainFields: ["module", "main"],
    target: "es2023",
    charset: "utf8",
    // Names of classes are what callers see of errors.
    keepNames: true,
    inject: ["console", "random", "text"].map((name) => join(LIBRARY, "globals", `${name}.js`)),
    plugins: [contract(path)],
    logLevel: "warning",
  });
  const [map, source] = outputFiles;
  const table = sourcesOf(map, source);
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports);
  return {
    text: `${source.text}\nglobalThis.endpointdSources = ${JSON.stringify(table)};\n`,
    sources: table,
    interfaces: new Set(imports.map((imported) => imported.path)),
  };
}

/** For each line of the bundle the file and line that it comes from; nothing for those of a library. */
function sourcesOf(map, source) {
  const named = new SourceMap(JSON.parse(map.text));
  const folder = dirname(map.path);
  return source.text.split("\n").map((line, index) => {
    const { originalSource, originalLine } = named.findEntry(index, line.search(/\S/));
    const path = resolve(folder, originalSource ?? LIBRARY);
    const isAuthors = !`${path}${sep}`.startsWith(LIBRARY + sep) && !path.includes(`${sep}node_modules${sep}`);
    return isAuthors ? `${relative(folder, path)}:${originalLine + 1}` : 0;
  });
}

/** The component of a bundle, as bytes. QuickJS would import all of its world, so the world is what is used. */
export async function componentize({ text, sources, interfaces }, small = false) {
  const folder = mkdtempSync(join(tmpdir(), "endpointd-"));
  try {
    cpSync(join(LIBRARY, "wit"), folder, { recursive: true, dereference: true });
    const file = join(folder, "endpointd.wit");
    const used = (statement, found) => {
      const full = found.includes(":") ? found : `endpointd:rpc/${found}@0.1.0`;
      return interfaces.has(full) ? statement : "";
    };
    writeFileSync(file, readFileSync(file, "utf8").replace(/^ *import (.+);$/gm, used));
    const { component } = await makeComponent({
      witPath: folder,
      world: "endpoint-with-http",
      jsSource: text,
      sync: true,
      optSize: small,
    });
    return component;
  } catch (error) {
    throw new Error(explain(error.message, sources), { cause: error });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What went wrong when QuickJS loaded the bundle, by file and line of the sources. */
function explain(message, sources) {
  const [, called] = /unknown import: `(.+)` has not been defined/.exec(message) ?? [];
  if (called) return `${called} is called while the module is loaded: there is a host inside of methods only`;
  const [reason, ...frames] = message.replace(/^.* JavaScript module evaluation: /s, "").split("\n");
  const places = frames.map((frame) => sources[/user\.js:(\d+):/.exec(frame)?.[1] - 1]).filter(Boolean);
  return [reason, ...places.map((place) => `    at ${place}`)].join("\n");
}
