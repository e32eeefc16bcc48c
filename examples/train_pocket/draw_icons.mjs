// Draws the icons that all three sets have, in the categories that the model learns, as PNG on white.
//
//     node draw_icons.mjs FOLDER
//
// writes FOLDER/STYLE/NAME.png (128x128) and FOLDER/things.json: each name with its category.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const SIZE = 128;
/** The style's word in captions, and the package that draws so. */
const SETS = {
  flat: "@iconify-json/fluent-emoji-flat",
  glossy: "@iconify-json/fluent-emoji",
  drawn: "@iconify-json/noto",
};
/** A category of the sets, and its word in captions. */
const CATEGORIES = { "Smileys & Emotion": "face", "Animals & Nature": "nature", "Food & Drink": "food" };

const require = createRequire(import.meta.url);
const pins = JSON.parse(readFileSync(new URL("./package.json", import.meta.url))).dependencies;

function fail(message) {
  console.error(`error: ${message}`);
  process.exit(1);
}

/** Requires a file of a package after checking that the package is the pinned version. */
function pinned(name, file) {
  let found;
  try {
    found = require(`${name}/package.json`).version;
  } catch {
    fail(`the package ${name} is missing; run \`npm ci\` in this folder`);
  }
  if (found !== pins[name]) {
    fail(`${name} is version ${found}, this recipe needs ${pins[name]}; run \`npm ci\` in this folder`);
  }
  return file === undefined ? undefined : require(`${name}/${file}`);
}

/** An icon of a set by its name or by another name for it; undefined if the set has none. */
function iconOf(set, name) {
  return set.icons[name] ?? set.icons[set.aliases?.[name]?.parent];
}

/** The SVG of an icon, with the set's default size where the icon states none. */
function svg(set, icon) {
  const at = { left: 0, top: 0, width: set.width ?? 16, height: set.height ?? 16, ...icon };
  const box = `${at.left} ${at.top} ${at.width} ${at.height}`;
  const spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"';
  return `<svg ${spaces} viewBox="${box}" width="${SIZE}" height="${SIZE}">${icon.body}</svg>`;
}

/** Every name that all sets draw and one of them puts in a known category. */
function commonThings(sets, metadata) {
  const things = {};
  for (const { categories = {} } of metadata) {
    for (const [category, word] of Object.entries(CATEGORIES)) {
      for (const name of categories[category] ?? []) {
        if (sets.every((set) => iconOf(set, name) !== undefined)) things[name] ??= word;
      }
    }
  }
  return Object.fromEntries(Object.entries(things).sort(([a], [b]) => (a < b ? -1 : 1)));
}

const folder = process.argv[2];
if (folder === undefined || process.argv.length > 3) fail("usage: node draw_icons.mjs FOLDER");
const packages = Object.values(SETS);
const sets = packages.map((name) => pinned(name, "icons.json"));
const metadata = packages.map((name) => pinned(name, "metadata.json"));
pinned("@resvg/resvg-js");
const { Resvg } = await import("@resvg/resvg-js");

const things = commonThings(sets, metadata);
let drawn = 0;
Object.keys(SETS).forEach((style, at) => {
  mkdirSync(join(folder, style), { recursive: true });
  for (const name of Object.keys(things)) {
    const file = join(folder, style, `${name}.png`);
    if (existsSync(file)) continue;
    const picture = new Resvg(svg(sets[at], iconOf(sets[at], name)), {
      background: "white",
      fitTo: { mode: "width", value: SIZE },
    });
    writeFileSync(file, picture.render().asPng());
    drawn += 1;
  }
});
writeFileSync(join(folder, "things.json"), `${JSON.stringify(things, null, 1)}\n`);
console.log(`${Object.keys(things).length} things, ${drawn} icons drawn`);
