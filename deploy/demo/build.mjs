// SPDX-License-Identifier: BSD-3-Clause
// Bundles the page into dist/: index.html, style.css, app.js, worker.js, and licences.txt of what
// app.js was made of.

import { build } from 'esbuild';
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');

/** @return names of the packages whose files went into the bundle */
function packagesOf(metafile)
{
	const names = Object.keys(metafile.inputs)
		.map((path) => path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules)/)?.[1]);

	return [...new Set(names.filter(Boolean))].sort();
}

async function licenceOf(name)
{
	const folder = join(here, 'node_modules', name);
	const { version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
	const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
	const words = file ? await readFile(join(folder, file), 'utf8') : '';

	return `${name} ${version} (${license})\n\n${words.trim()}\n`;
}

await rm(dist, { recursive: true, force: true });
await mkdir(dist);
const common = { absWorkingDir: here, outdir: 'dist', bundle: true, target: ['es2022'], minify: true,
	legalComments: 'none', metafile: true };
const { metafile } = await build({ ...common, entryPoints: ['src/app.js'], format: 'esm' });

await build({ ...common, entryPoints: ['src/worker.js'], format: 'iife' });
await writeFile(join(dist, 'licences.txt'),
	(await Promise.all(packagesOf(metafile).map(licenceOf))).join(`\n${'-'.repeat(72)}\n\n`));
for (const file of ['index.html', 'style.css'])
	await copyFile(join(here, 'src', file), join(dist, file));
