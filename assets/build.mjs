// Builds what the browser gets, into assets/dist: the script of every page and those of the pages
// that play a video or take one in and of the admin portal, one stylesheet, the fonts that the stylesheet names, the icon, the licences of what is inside, and manifest.json, which maps
// each plain name to the file that carries the hash of its content. The same sources and npm
// packages always give the same files.
import { createHash } from 'node:crypto'
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import * as esbuild from 'esbuild'
import subsetFont from 'subset-font'

const here = path.dirname(fileURLToPath(import.meta.url))
const modules = path.join(here, '..', 'node_modules')
const dist = path.join(here, 'dist')

// Most bytes that may leave the server for each kind of file. A build over budget fails.
const budget = { fonts: 90_000, css: 20_000 }

// The scripts, with what our own part of each may have before compression.
const scripts = { app: 10_000, player: 6_500, upload: 7_500, admin: 4_000, xray: 4_000 }

const between = (first, last) =>
  String.fromCodePoint(...Array.from({ length: last - first + 1 }, (_, i) => first + i))
const ascii = between(0x20, 0x7e)
const latin = ascii + between(0xa0, 0xff) + 'ıŒœ–—‘’‚“”„†•…€™←↑→↓−'
const latinExtended = between(0x100, 0x17f)

// The weights kept are those that css/tokens.css uses. Headings keep their optical size axis:
// it is what gives the face its character from a caption to a poster-sized number.
const bricolage = { from: 'bricolage-grotesque/files/bricolage-grotesque', style: 'opsz-normal', axes: { wght: 700 } }
const atkinson = {
  from: 'atkinson-hyperlegible-next/files/atkinson-hyperlegible-next',
  style: 'wght-normal',
  axes: { wght: { min: 400, max: 700 } },
}
const mono = { from: 'jetbrains-mono/files/jetbrains-mono', style: 'wght-normal', axes: { wght: { min: 400, max: 700 } } }
const fonts = {
  bricolage: { ...bricolage, script: 'latin', text: latin },
  'bricolage-extended': { ...bricolage, script: 'latin-ext', text: latinExtended },
  atkinson: { ...atkinson, script: 'latin', text: latin },
  'atkinson-extended': { ...atkinson, script: 'latin-ext', text: latinExtended },
  // Without its ligatures the face is half the size, and an id must not turn => into an arrow.
  'jetbrains-mono': { ...mono, script: 'latin', text: ascii + '–…·', ligatures: false },
}

async function subset(name) {
  const font = fonts[name]
  if (!font) throw new Error(`the stylesheet asks for a font named ${name}; build.mjs knows ${Object.keys(fonts).join(', ')}`)
  const file = path.join(modules, '@fontsource-variable', `${font.from}-${font.script}-${font.style}.woff2`)
  return subsetFont(await readFile(file), font.text, {
    targetFormat: 'woff2',
    variationAxes: font.axes,
    ...(font.ligatures === false && { noLayoutClosure: true, keepFeatures: ['kern'] }),
  })
}

// Lets the stylesheet write url("font:NAME") for a subset that is made while building.
const subsetFonts = {
  name: 'subset-fonts',
  setup(build) {
    build.onResolve({ filter: /^font:/ }, (args) => ({ path: `${args.path.slice('font:'.length)}.woff2`, namespace: 'font' }))
    build.onLoad({ filter: /.*/, namespace: 'font' }, async (args) => ({
      contents: await subset(path.parse(args.path).name),
      loader: 'file',
    }))
  },
}

// media-chrome writes <style> into its shadow roots, which the site's policy forbids. Its sources
// are changed so that js/shadow.js has the same sheets adopted. A source that is not as it was
// when this was written ends the build.
const adoptStyles = {
  name: 'adopt-styles',
  setup(build) {
    const fill = 'fillShadow(this.shadowRoot, $1)'
    const changes = {
      'utils/element-utils.js': [['styleParent.querySelectorAll("style:not([media])")', 'stylesOf(styleParent)']],
      'menu/media-chrome-menu.js': [
        ['this.shadowRoot.querySelector("#layout-row")', 'rowStyle(this.shadowRoot)'],
        ['layoutRowStyle.setAttribute("media", menuLayout === "row" ? "" : "width:0")', 'layoutRowStyle.media.mediaText = menuLayout === "row" ? "" : "width:0"'],
      ],
    }
    build.onLoad({ filter: /node_modules\/media-chrome\/dist\/.*\.js$/ }, async ({ path: file }) => {
      const name = path.relative(path.join(modules, 'media-chrome', 'dist'), file)
      let source = (await readFile(file, 'utf8'))
        .replace(/this\.shadowRoot\.setHTMLUnsafe \? this\.shadowRoot\.setHTMLUnsafe\((html)\) : this\.shadowRoot\.innerHTML = html/, fill)
        .replace(/this\.shadowRoot\.innerHTML = (this\.constructor\.getTemplateHTML\(attrs\))/, fill)
      for (const [from, to] of changes[name] ?? []) {
        if (!source.includes(from)) throw new Error(`${name} of media-chrome is not as it was: there is no ${from}`)
        source = source.replaceAll(from, to)
      }
      if (/shadowRoot\.(innerHTML|setHTMLUnsafe)|style:not/.test(source)) throw new Error(`${name} of media-chrome writes its styles in a new way`)
      return { contents: `import { fillShadow, rowStyle, stylesOf } from ${JSON.stringify(path.join(here, 'js', 'shadow.js'))}\n${source}`, loader: 'js' }
    })
  },
}

const result = await esbuild.build({
  absWorkingDir: here,
  entryPoints: [
    ...Object.keys(scripts).map((name) => ({ in: `js/${name}.js`, out: name })),
    { in: 'css/app.css', out: 'app' },
  ],
  nodePaths: [modules],
  outdir: dist,
  entryNames: '[name]-[hash]',
  assetNames: '[name]-[hash]',
  publicPath: '/assets/',
  bundle: true,
  minify: true,
  format: 'iife',
  target: ['chrome120', 'firefox121', 'safari17.4'],
  legalComments: 'none',
  metafile: true,
  write: false,
  logLevel: 'warning',
  plugins: [subsetFonts, adoptStyles],
})

const files = new Map() // name in dist → content
const manifest = {} // plain name → name in dist

function put(plain, name, contents) {
  files.set(name, contents)
  manifest[plain] = name
}

function putHashed(plain, contents) {
  const hash = createHash('sha256').update(contents).digest('hex').slice(0, 8).toUpperCase()
  const { name, ext } = path.parse(plain)
  put(plain, `${name}-${hash}${ext}`, contents)
}

for (const { path: file, contents } of result.outputFiles) {
  const name = path.basename(file)
  const plain = name.replace(/-[A-Z0-9]{8}(?=\.\w+$)/, '')
  put(plain, name, Buffer.from(contents))
}
putHashed('favicon.svg', await readFile(path.join(here, 'icon', 'favicon.svg')))
putHashed('licences.txt', await licences())

// licences are those of all packages that a script or the stylesheet has something of.
async function licences() {
  const inside = new Set()
  for (const { inputs } of Object.values(result.metafile.outputs)) {
    for (const [file, { bytesInOutput }] of Object.entries(inputs)) {
      const name = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1]
      if (name && bytesInOutput) inside.add(name)
    }
  }
  for (const { from } of Object.values(fonts)) inside.add(`@fontsource-variable/${from.split('/')[0]}`)
  const parts = await Promise.all(
    [...inside].sort().map(async (name) => {
      const { version } = JSON.parse(await readFile(path.join(modules, name, 'package.json'), 'utf8'))
      const file = (await readdir(path.join(modules, name))).find((file) => /^licen[cs]e/i.test(file))
      if (!file) throw new Error(`the package ${name} comes without its licence`)
      return `${name} ${version}\n\n${(await readFile(path.join(modules, name, file), 'utf8')).trim()}\n`
    }),
  )
  return Buffer.from(`The scripts and the fonts of this site contain the following works.\n\n${parts.join(`\n${'-'.repeat(80)}\n\n`)}`)
}

const gzipped = (plain) => gzipSync(files.get(manifest[plain]), { level: 9 }).length
const size = {
  css: gzipped('app.css'),
  fonts: [...files].reduce((sum, [name, contents]) => sum + (name.endsWith('.woff2') ? contents.length : 0), 0),
}
for (const [name, most] of Object.entries(scripts)) {
  const kind = `own part of ${name}.js`
  const { inputs } = Object.values(result.metafile.outputs).find(({ entryPoint }) => entryPoint === `js/${name}.js`)
  budget[kind] = most
  size[kind] = Object.entries(inputs).reduce((sum, [file, { bytesInOutput }]) => sum + (file.startsWith('js/') ? bytesInOutput : 0), 0)
}
for (const [kind, most] of Object.entries(budget)) {
  if (size[kind] > most) throw new Error(`${kind} is ${size[kind]} bytes; its budget is ${most}`)
}

// Compressed here, the program need not do it at each start.
for (const [name, contents] of [...files]) {
  const packed = gzipSync(contents, { level: 9 })
  if (packed.length < contents.length * 0.9) files.set(`${name}.gz`, packed)
}

// Everything is written under a name of its own first, and the manifest last: a program that is
// being compiled meanwhile sees the old build or the new one, never half of each.
await mkdir(dist, { recursive: true })
const write = async (name, contents) => {
  await writeFile(path.join(dist, `.${name}.new`), contents)
  await rename(path.join(dist, `.${name}.new`), path.join(dist, name))
}
for (const [name, contents] of files) await write(name, contents)
const sorted = Object.fromEntries(Object.entries(manifest).sort(([a], [b]) => (a < b ? -1 : 1)))
await write('manifest.json', `${JSON.stringify(sorted, null, 2)}\n`)
for (const name of await readdir(dist)) {
  if (name !== '.gitkeep' && name !== 'manifest.json' && !files.has(name)) await rm(path.join(dist, name), { recursive: true })
}

const kB = (bytes) => `${(bytes / 1000).toFixed(1)} kB`
const told = Object.keys(scripts).map((name) => `${name}.js ${kB(gzipped(`${name}.js`))} (own part ${kB(size[`own part of ${name}.js`])} before compression)`)
console.log(`assets: ${told.join(', ')}, style ${kB(size.css)}, fonts ${kB(size.fonts)}`)
