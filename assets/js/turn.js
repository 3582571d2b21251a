// One upload at a time, over all tabs of the browser: over HTTP/1.1 it has six connections for a
// site, and pages need theirs.
let last = Promise.resolve()

// inTurn does the work when nobody else does theirs. Browsers have locks only for sites that are
// safe to trust, which is https or this very machine.
export const inTurn = (work) => (navigator.locks ? navigator.locks.request('upload', work) : (last = last.then(work)))
