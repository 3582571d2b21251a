// media-chrome writes <style> into the shadow root of each of its elements. The site's policy
// allows style from its own files only, so build.mjs has these sheets adopted instead.

// fillShadow puts html into a shadow root, and the styles in it beside.
export function fillShadow(root, html) {
  const template = document.createElement('template')
  template.innerHTML = html
  for (const style of template.content.querySelectorAll('style')) {
    const sheet = new CSSStyleSheet({ media: style.media })
    sheet.replaceSync(style.textContent)
    root.adoptedStyleSheets.push(sheet)
    style.remove()
  }
  root.replaceChildren(template.content)
}

// stylesOf returns what media-chrome takes for the style elements of a shadow root that always
// apply; it changes their rules.
export const stylesOf = (root) => root.adoptedStyleSheets.filter(({ media }) => !media.length).map((sheet) => ({ sheet }))

// rowStyle returns the one sheet that applies only where a menu is laid out as a row.
export const rowStyle = (root) => root.adoptedStyleSheets.find(({ media }) => media.length)
