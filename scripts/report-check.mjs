// Opens a report in headless Chromium: no request, no console message, no sideways
// scroll, no finding of the accessibility checker, in light, dark and at 320 px; and
// prints it on A4 and Letter. Leaves screenshots and PDFs beside OUT.
//
//   npm install puppeteer-core@24 axe-core@4
//   node scripts/report-check.mjs bundle/report.html OUT [CHROMIUM]
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import puppeteer from 'puppeteer-core'

const [, , report, out, chromium = '/usr/bin/chromium'] = process.argv
const url = 'file://' + resolve(report)
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const browser = await puppeteer.launch({ executablePath: chromium, args: ['--no-sandbox'], headless: true })
let bad = 0
for (const [name, scheme, width] of [['light', 'light', 1200], ['dark', 'dark', 1200], ['narrow', 'light', 320]]) {
  const page = await browser.newPage()
  const requests = [], messages = []
  page.on('request', r => { if (r.url() !== url) requests.push(r.url()) })
  page.on('console', m => messages.push(m.text()))
  page.on('pageerror', e => messages.push(String(e)))
  await page.setViewport({ width, height: 900 })
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
  await page.goto(url)
  await page.screenshot({ path: `${out}-${name}.png`, fullPage: true })
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth)
  await page.setBypassCSP(true) // for the checker alone, after the page was looked at
  await page.reload()
  await page.evaluate(axe)
  const found = await page.evaluate(async () => (await axe.run(document)).violations.map(v => `${v.id}: ${v.nodes.length}, first ${v.nodes[0].html.slice(0, 120)}`))
  console.log(name, { requests, messages, wide, found })
  bad += requests.length + messages.length + found.length + (wide ? 1 : 0)
  await page.close()
}
const page = await browser.newPage()
await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]) // paper stays light
await page.goto(url)
for (const format of ['A4', 'Letter']) await page.pdf({ path: `${out}-${format}.pdf`, format, printBackground: true })
await browser.close()
process.exit(bad ? 1 : 0)
