// Writes the console, ready to be served, into a folder: `node build.mjs FOLDER`.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const folder = process.argv[2] ?? join(here, "../target/console");

const { outputFiles } = await build({
  absWorkingDir: here,
  entryPoints: { console: "src/main.tsx", "console-style": "src/style/index.css" },
  bundle: true,
  minify: true,
  write: false,
  // What runs the page understands: the browsers of the last three years.
  target: ["es2022", "chrome111", "firefox113", "safari16.4"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  outdir: folder,
});
const files = outputFiles.map(({ path, contents }) => [path, Buffer.from(contents)]);
for (const name of ["index.html", "console.svg"]) {
  files.push([join(folder, name), await readFile(join(here, "src", name))]);
}

await mkdir(folder, { recursive: true });
for (const [path, contents] of files) {
  // What has not changed keeps its age, by which browsers know it.
  const before = await readFile(path).catch(() => null);
  if (!before?.equals(contents)) await writeFile(path, contents);
}
const bytes = files.reduce((sum, [, contents]) => sum + contents.length, 0);
console.log(`the console: ${files.length} files, ${(bytes / 1024).toFixed(1)} KB`);
if (bytes > 150 * 1024) {
  console.error("error: the console is larger than 150 KB");
  process.exitCode = 1;
}
