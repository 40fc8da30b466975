// SPDX-License-Identifier: BSD-3-Clause
// Bundles the page into dist/: index.html, style.css, app.js, worker.js.

import { build } from 'esbuild';
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');

await rm(dist, { recursive: true, force: true });
await mkdir(dist);
await build({
	absWorkingDir: here,
	entryPoints: ['src/app.js'],
	outdir: 'dist',
	bundle: true,
	format: 'esm',
	target: ['es2022'],
	minify: true,
	legalComments: 'linked', // the licences of what is bundled go with it
});
await build({
	absWorkingDir: here,
	entryPoints: ['src/worker.js'],
	outdir: 'dist',
	bundle: true,
	format: 'iife',
	target: ['es2022'],
	minify: true,
});
for (const file of ['index.html', 'style.css'])
	await copyFile(join(here, 'src', file), join(dist, file));
