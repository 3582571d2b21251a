// A reader who goes on before one page has turned into the next, or stops, ends that change. It is
// no failure, so it is not to be told as one.
for (const name of ['pageswap', 'pagereveal']) {
  addEventListener(name, ({ viewTransition }) => viewTransition?.ready.catch(() => {}))
}
